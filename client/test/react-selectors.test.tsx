// @vitest-environment happy-dom
import { act } from 'react';
import { describe, expect, it, vi } from 'vitest';
import {
  RoomProvider,
  type UseMessages,
  useConnection,
  useLostConnection,
  useMessages,
  useReadable,
  useRoom,
} from '../src/react/index.js';
import { ack, page } from './fake/socket.js';
import { pass, stage } from './fake/stage.js';

const set = stage();

function Probe({ render }: { render: () => void }) {
  render();
  return null;
}

/** Counts what a hook makes its component render, and keeps what it gave. */
function probe<T>(use: () => T) {
  const seen: T[] = [];
  const render = () => void seen.push(use());
  return { seen, render, last: () => seen.at(-1) as T };
}

const inRoom = (inside: React.ReactNode) => set.render(<RoomProvider id="chat:a">{inside}</RoomProvider>);

describe('selectors', () => {
  it('a component renders when what it selected has changed, and not else', async () => {
    const count = probe(() => useMessages(m => m.messages.length));
    const state = probe(() => useConnection(c => c.state));
    const room = probe(() => useRoom(r => r.room));
    const live = probe(() => useRoom(r => r.status.state));
    const all = probe(() => useMessages());
    await inRoom(
      [count, state, room, live, all].map(({ render }, i) => <Probe key={String(i)} render={render} />),
    );
    const socket = await set.joined();
    expect([count.last(), state.last(), room.last().id, live.last()]).toEqual([
      2,
      'connected',
      'chat:a',
      'live',
    ]);
    const before = [count, state, room, live, all].map(({ seen }) => seen.length);

    await act(async () => void all.last().send({ text: 'hi' }));
    await act(async () => socket.say(ack(socket.take('send'), 3)));
    await act(async () => void socket.say(page(2, 4)));
    expect(count.last()).toBe(4);
    // Rendered for the send and for the page, twice each under StrictMode; not for the ack, which changed no number.
    expect(count.seen.length - (before[0] as number)).toBe(4);
    expect(state.seen).toHaveLength(before[1] as number);
    expect(room.seen).toHaveLength(before[2] as number);
    expect(live.seen).toHaveLength(before[3] as number);
    expect(all.seen.length - (before[4] as number)).toBeGreaterThan(4);
  });

  it('compares plain objects and arrays by their fields, keeps the one shown, and takes another comparison', async () => {
    const names = probe(() => useMessages(m => m.messages.map(({ tag }) => tag)));
    const both = probe(() => useRoom(r => ({ id: r.room.id, seq: Math.min(r.status.seq, 2) })));
    const parity = probe(() =>
      useMessages(
        m => m.messages.length,
        (a, b) => a % 2 === b % 2,
      ),
    );
    await inRoom([names, both, parity].map(({ render }, i) => <Probe key={String(i)} render={render} />));
    const socket = await set.joined();
    const shown = [names.last(), both.last()];
    expect(both.last()).toEqual({ id: 'chat:a', seq: 2 });
    const renders = both.seen.length;
    await act(async () => void socket.say(page(2, 4)));
    expect(names.last()).toHaveLength(4);
    expect(parity.last()).toBe(0); // 2 and 4 are as even
    expect(both.seen).toHaveLength(renders);
    await inRoom([names, both, parity].map(({ render }, i) => <Probe key={String(i)} render={render} />));
    expect(both.last()).toBe(shown[1]); // rendered by its parent, with a new selector, and still the same object
    await act(async () => void socket.say(page(4, 5)));
    expect(parity.last()).toBe(5);
  });

  it('what is not plain counts as the same only if it is identical', async () => {
    let now = 1;
    const listeners = new Set<() => void>();
    const clock = {
      get: () => now,
      subscribe: (fn: () => void) => {
        listeners.add(fn);
        return () => void listeners.delete(fn);
      },
    };
    const date = probe(() => useReadable(clock, ms => new Date(ms)));
    const listed = probe(() => useReadable<number, unknown>(clock, ms => (ms === 1 ? [] : {})));
    await set.render([date, listed].map(({ render }, i) => <Probe key={String(i)} render={render} />));
    now = 2;
    await act(async () => {
      for (const listener of listeners) listener();
    });
    expect(date.last().getTime()).toBe(2);
    expect(listed.last()).toEqual({});
  });

  it('a selector of its own type, an id with a selector, and the functions of useMessages', async () => {
    const x = probe(() => useMessages((m: UseMessages<{ x: number }>) => m.send));
    const side = probe(() => useRoom('chat:side', r => r.status.state));
    await inRoom([x, side].map(({ render }, i) => <Probe key={String(i)} render={render} />));
    const socket = await set.connected();
    expect(socket.sent.map(({ op, room }) => `${op} ${room}`).sort()).toEqual([
      'join chat:a',
      'join chat:side',
    ]);
    expect(side.last()).toBe('attaching');
    await act(async () => void x.last()({ x: 1 }));
    expect(socket.take('send').data).toEqual({ x: 1 });
  });

  it('a subscription is ended with its component', async () => {
    const { render } = probe(() => useMessages());
    const room = set.client.room('chat:a');
    let listening = 0;
    for (const readable of [room.messages.list, room.messages.older, room.status]) {
      const subscribe = readable.subscribe.bind(readable);
      vi.spyOn(readable, 'subscribe').mockImplementation(fn => {
        const stop = subscribe(fn);
        listening++;
        return () => {
          listening--;
          stop();
        };
      });
    }
    await inRoom(<Probe render={render} />);
    expect(listening).toBe(3);
    await set.render(null);
    expect(listening).toBe(0);
  });
});

function Toast({ hear }: { hear: (event: string) => void }) {
  useLostConnection(hear);
  return null;
}

describe('useLostConnection', () => {
  it('calls the function of the last render: lost after 5 s, restored, failed', async () => {
    const heard: string[] = [];
    const show = (name: string) => inRoom(<Toast hear={event => heard.push(`${name} ${event}`)} />);
    await show('a');
    const socket = await set.joined();
    await act(async () => socket.end());
    await show('b');
    await pass(4_999);
    expect(heard).toEqual([]);
    await pass(1);
    expect(heard).toEqual(['b lost']);
    await pass(20_000);
    await act(async () => void set.network.last.welcome());
    await show('c');
    expect(heard).toEqual(['b lost', 'b restored']);
    await act(async () => set.network.last.end(4_500));
    expect(heard).toEqual(['b lost', 'b restored', 'c failed']);
  });

  it('hears nothing any more when its component is gone', async () => {
    const hear = vi.fn();
    await inRoom(<Toast hear={hear} />);
    const socket = await set.joined();
    await inRoom(null);
    await act(async () => socket.end(4_500));
    expect(set.client.status.get().state).toBe('failed');
    expect(hear).not.toHaveBeenCalled();
  });
});
