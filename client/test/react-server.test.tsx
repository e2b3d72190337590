import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createCollection } from '@tanstack/db';
import { useLiveQuery } from '@tanstack/react-db';
import { renderToPipeableStream, renderToReadableStream, renderToString } from 'react-dom/server';
import { describe, expect, it, vi } from 'vitest';
import { roomlogCollectionOptions } from '../src/tanstack-db/index.js';
// The application's module: its client is made where it is imported, on the server too.
import { client, network } from './fake/app.js';
import { entries, page } from './fake/page.js';

describe.each(entries)('$name on a server', ({ hooks, html }) => {
  /** The HTML of both ways in which React streams, which have to come to an end by themselves. */
  async function rendered(): Promise<string> {
    const onError = vi.fn();
    const html = await text(await renderToReadableStream(page(hooks, client), { onError }));
    const node = renderToPipeableStream(page(hooks, client), { onError });
    expect(await text(node.pipe(new PassThrough()))).toBe(html);
    expect(onError).not.toHaveBeenCalled();
    return html;
  }

  it('renders to the end, the same each time, without a socket, a timer or a request, and without a word', async () => {
    const attached = vi.spyOn(client.room('chat:a'), 'attach');
    const never = [
      vi.spyOn(globalThis, 'fetch'),
      vi.spyOn(globalThis, 'setInterval'),
      vi.spyOn(console, 'error'),
      vi.spyOn(console, 'warn'),
      attached,
    ];
    // React has timers of 0 ms of its own.
    const timeouts = vi.spyOn(globalThis, 'setTimeout');
    expect(await rendered()).toBe(html);
    expect(await rendered()).toBe(html);
    for (const spy of never) expect(spy).not.toHaveBeenCalled();
    expect(timeouts.mock.calls.map(([, ms]) => ms ?? 0).filter(ms => ms > 0)).toEqual([]);
    expect(network.sockets).toHaveLength(0);
    expect(client.status.get().state).toBe('idle');
    vi.restoreAllMocks();
  });
});

const collection = createCollection(roomlogCollectionOptions({ client, room: 'chat:a' }));

function Query() {
  const { data, isReady } = useLiveQuery(q => q.from({ m: collection }).select(({ m }) => ({ tag: m.tag })));
  return <p title={String(isReady)}>{data.length}</p>;
}

it('a live query over roomlog/tanstack-db does not connect on a server either', () => {
  const attached = vi.spyOn(client.room('chat:a'), 'attach');
  expect(renderToString(<Query />)).toBe('<p title="false">0</p>');
  expect(attached).not.toHaveBeenCalled();
  expect([collection.status, client.status.get().state]).toEqual(['idle', 'idle']);
});
