import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { build } from 'esbuild';
import * as React from 'react';
import { describe, expect, it } from 'vitest';
import type * as Roomlog from '../src/index.js';

/** Runs an entry where there is nothing but the language itself: whatever else it touches is a ReferenceError. */
async function load(entry: string, globals: object = {}): Promise<unknown> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${entry}`, import.meta.url))],
    bundle: true,
    format: 'cjs',
    target: 'es2022',
    external: ['react', '@tanstack/db', 'yjs', 'y-protocols'],
    platform: 'neutral',
    write: false,
  });
  const module = { exports: {} };
  runInNewContext(outputFiles[0]?.text ?? '', { module, require: () => React, ...globals });
  return module.exports;
}

describe('without DOM, network and timers', () => {
  it('the entries can be imported, and a client made and rendered', async () => {
    const { createClient } = (await load('index.ts')) as typeof Roomlog;
    expect(await load('feed/index.ts')).toHaveProperty('openFeed');
    expect(await load('react/index.ts')).toHaveProperty('useMessages');
    expect(await load('react/suspense.ts')).toHaveProperty('useMessages');
    expect(await load('yjs/index.ts')).toHaveProperty('openDoc');
    expect(await load('react/yjs.ts')).toHaveProperty('useDoc');
    expect(await load('tanstack-db/index.ts')).toHaveProperty('roomlogCollectionOptions');
    const client = createClient({ url: '/', token: 't' });
    const room = client.room('chat:a');
    expect(room.messages.list.get()).toHaveLength(0);
    expect(room.messages.list.get()).toBe(room.messages.list.get());
    expect(client.status.get()).toMatchObject({ state: 'idle', pendingSends: 0 });
    expect(client.status.get()).toBe(client.status.get());
    expect(room.status.get()).toMatchObject({ state: 'detached', seq: 0, loaded: false });
  });

  it('connecting does need them, so the emptiness above is real', async () => {
    const { createClient } = (await load('index.ts', { queueMicrotask })) as typeof Roomlog;
    expect(() => createClient({ url: '/', token: 't' }).connect()).toThrow(/not defined/);
  });
});
