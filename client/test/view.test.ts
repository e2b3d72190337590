import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HistoryView } from '../src/index.js';
import { createTestServer, type TestServer } from '../src/testing/index.js';

const upTo = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const seqs = (view: HistoryView) => view.list.get().map(message => message.seq);

describe('a view of history', () => {
  let server: TestServer;
  beforeEach(() => {
    server = createTestServer();
    for (let i = 1; i <= 300; i++) append();
  });

  afterEach(() => server.close());

  const append = () => server.append('chat:a', { data: { text: 'x' } });
  const room = () => server.client().room('chat:a');

  it('opens around a seq and is walked both ways to either end, in order and without a hole (POLL-5)', async () => {
    const view = await room().messages.view({ around: 150, limit: 20 });
    expect(seqs(view)).toEqual(upTo(140, 159));
    expect(view.state.get()).toMatchObject({ hasOlder: true, hasNewer: true, loading: false });
    await view.loadNewer(30);
    await view.loadOlder(40);
    expect(seqs(view)).toEqual(upTo(100, 189));
    while (view.state.get().hasOlder) await view.loadOlder(50);
    while (view.state.get().hasNewer) await view.loadNewer(50);
    expect(seqs(view)).toEqual(upTo(1, 300));
    await view.loadOlder();
    expect(seqs(view)).toEqual(upTo(1, 300));
    append();
    await view.loadNewer();
    expect(seqs(view)).toEqual(upTo(1, 301));
  });

  it('holds no more than it may: what is beyond goes at the other end, and can be loaded again', async () => {
    const view = await room().messages.view({ around: 150, limit: 20, max: 50 });
    for (let i = 0; i < 4; i++) await view.loadOlder(30);
    expect(seqs(view)).toEqual(upTo(20, 69));
    expect(view.state.get()).toMatchObject({ hasOlder: true, hasNewer: true });
    for (let i = 0; i < 3; i++) await view.loadNewer(30);
    expect(seqs(view)).toEqual(upTo(110, 159));
    await view.loadOlder(10);
    expect(seqs(view)).toEqual(upTo(100, 149));
  });

  it('loads one after the other, each from where the one before it ended', async () => {
    const view = await room().messages.view({ before: 200, limit: 10 });
    await Promise.all([view.loadOlder(10), view.loadOlder(10), view.loadNewer(5), view.loadOlder(10)]);
    expect(seqs(view)).toEqual(upTo(160, 204));
  });

  it('does not mix numberings, and says why it ends', async () => {
    const view = await room().messages.view({ around: 150, limit: 20 });
    server.reset('chat:a');
    await expect(view.loadOlder()).rejects.toMatchObject({ code: 'reset' });
    await expect(view.loadNewer()).rejects.toMatchObject({ code: 'reset' });
    expect(view.state.get()).toMatchObject({ loading: false, error: { code: 'reset' } });
    expect(seqs(view)).toEqual(upTo(140, 159));
  });

  it('goes on after a load that failed', async () => {
    const view = await room().messages.view({ after: 10, limit: 10 });
    server.network.offline();
    await expect(view.loadNewer(10)).rejects.toMatchObject({ code: 'network' });
    server.network.restore();
    await view.loadNewer(10);
    expect(seqs(view)).toEqual(upTo(11, 30));
    expect(view.state.get().error).toBeUndefined();
  });

  it('says when it meets the live window', async () => {
    const live = room();
    const { messages, status } = live;
    live.attach();
    for await (const { seq } of status) if (seq === 300) break;
    const view = await messages.view({ around: 180, limit: 10 });
    expect(view.state.get().meetsLive).toBe(false);
    await view.loadNewer(30);
    expect(view.state.get().meetsLive).toBe(true); // the live window begins behind 200
  });
});
