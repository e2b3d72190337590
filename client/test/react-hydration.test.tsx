// @vitest-environment happy-dom
import { act } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Client } from '../src/index.js';
import { entries, page } from './fake/page.js';
import { type FakeNetwork, joined } from './fake/socket.js';

// What react-server.test.tsx holds a server to, in the browser.

describe.each(entries)('$name in a page that a server rendered', ({ hooks, html }) => {
  const complaints: unknown[][] = [];
  const recovered = vi.fn();

  beforeEach(() => {
    Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
    complaints.length = 0;
    recovered.mockClear();
    for (const level of ['error', 'warn'] as const) {
      vi.spyOn(console, level).mockImplementation((...said) => complaints.push(said));
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
    expect(complaints).toEqual([]);
    expect(recovered).not.toHaveBeenCalled();
  });

  it('is hydrated without a word, then live', async () => {
    const host = document.createElement('div');
    host.innerHTML = html;
    const heading = host.querySelector('h1');
    const { client, network } = await browser();
    const app = page(hooks, client);
    const root = await act(async () => hydrateRoot(host, app, { onRecoverableError: recovered }));
    expect(host.querySelector('h1')).toBe(heading);
    await live(network);
    expect(host.querySelector('ol')?.title).toBe('connected 0 false live chat:a');
    expect(host.textContent).toBe('Lobbym1m2');
    expect(network.sockets).toHaveLength(1);
    await act(async () => root.unmount());
    await client.close();
  });

  it('is hydrated without a word when the room is live already, as behind another part of the page', async () => {
    const host = document.createElement('div');
    host.innerHTML = html;
    const { client, network } = await browser();
    const detach = client.room('chat:a').attach();
    await live(network);
    expect(client.room('chat:a').status.get().state).toBe('live');
    const app = page(hooks, client);
    const root = await act(async () => hydrateRoot(host, app, { onRecoverableError: recovered }));
    expect(host.textContent).toBe('Lobbym1m2');
    expect(network.last.sent).toEqual([]);
    detach();
    await act(async () => root.unmount());
    await client.close();
  });
});

/** The module as the browser has it. */
async function browser(): Promise<{ client: Client; network: FakeNetwork }> {
  vi.resetModules();
  return import('./fake/app.js');
}

async function live(network: FakeNetwork): Promise<void> {
  await vi.waitUntil(() => network.sockets.length === 1, { timeout: 60_000 });
  await act(async () => void network.last.welcome());
  await act(async () => void network.last.say(joined(network.last.take('join').id, 0, 2)));
}
