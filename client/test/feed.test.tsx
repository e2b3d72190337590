// @vitest-environment happy-dom
import { act } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Feed, type FeedEvent, openFeed } from '../src/feed/index.js';
import type { Client, TransportName } from '../src/index.js';
import { RoomlogProvider, type UseFeed, useFeed } from '../src/react/index.js';
import { createTestClock, createTestServer, type TestClock, type TestServer } from '../src/testing/index.js';
import { pass, stage } from './fake/stage.js';

// Loaded here, since a clock that stands still does not wait for a module.
await import('../src/transport/fallback.js');
await import('../src/transport/http/stream.js');
await import('../src/transport/http/poll.js');
await import('../src/transport/http/shared.js');

const ROOM = 'feed:plant';
const READ_ONLY = [{ rooms: ROOM, can: ['read'] }] as const;

interface Point {
  t: number;
  v: Record<string, number>;
}

const point = (n: number): Point => ({ t: n, v: { load: n } });
const post = (server: TestServer, n: number) =>
  server.append(ROOM, { type: 'point', author: 'producer', data: point(n) });

describe.each([['websocket'], ['sse'], ['poll']] as TransportName[][])('a feed over %s', transport => {
  let clock: TestClock;
  let server: TestServer;
  let client: Client;
  let feed: Feed<Point>;
  let hidden = false;
  const given: FeedEvent<Point>[] = [];

  beforeEach(async () => {
    clock = createTestClock();
    server = createTestServer();
    hidden = false;
    given.length = 0;
    vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => (hidden ? 'hidden' : 'visible'));
    for (let n = 1; n <= 30; n++) post(server, n);
    client = server.client({ user: 'viewer', grants: READ_ONLY, transports: [transport as TransportName] });
    feed = openFeed<Point>(client, ROOM, { type: 'point', limit: 20 });
    feed.subscribe(event => given.push(event));
    expect(feed.status.get()).toEqual({ state: 'connecting', updatedAt: undefined, error: undefined });
  });
  afterEach(async () => {
    feed.close();
    await server.close();
    clock.restore();
    vi.restoreAllMocks();
  });

  const see = (now: boolean) => {
    hidden = !now;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  const loads = () => feed.events.get().map(({ data }) => data.v.load);
  const upTo = (n: number, count = 20) => Array.from({ length: count }, (_, i) => n - count + 1 + i);

  it('begins with the newest of the log, goes on live, and says when nothing comes', async () => {
    await clock.advance(1_000);
    expect(loads()).toEqual(upTo(30));
    expect(feed.latest.get()).toEqual(point(30));
    expect(given.map(({ via }) => via)).toEqual(Array(20).fill('replay'));
    expect(feed.status.get().state).toBe('live');
    await clock.advance(5_000);
    expect(feed.status.get().state).toBe('stale');
    expect(feed.status.get().updatedAt?.getTime()).toBe(Date.UTC(2026, 0, 1));
    post(server, 31);
    server.append(ROOM, { type: 'note', data: 'no point' });
    await clock.advance(500);
    expect([feed.status.get().state, feed.latest.get(), given.at(-1)?.via]).toEqual([
      'live',
      point(31),
      'live',
    ]);
    for (let n = 32; n <= 60; n++) post(server, n);
    await clock.advance(500);
    expect(loads().slice(-20)).toEqual(upTo(60));
    expect(loads().length).toBeLessThanOrEqual(22);
    expect(given.map(({ data }) => data.v.load)).toEqual(upTo(60, 50));
    await clock.advance(6_000);
    expect(feed.status.get().state).toBe('stale');
  });

  it('leaves a hidden tab alone, and reads what was missed once, the newest at most', async () => {
    await clock.advance(1_000);
    see(false);
    await clock.advance(9_000);
    post(server, 31); // a short look elsewhere costs nothing
    await clock.advance(500);
    expect(loads().at(-1)).toBe(31);
    await clock.advance(1_000);
    for (let n = 32; n <= 40; n++) post(server, n);
    await clock.advance(1_000);
    expect(loads().at(-1)).toBe(31);
    see(true);
    await clock.advance(1_000);
    expect(given.map(({ data }) => data.v.load)).toEqual(upTo(40, 30)); // without a gap
    see(false);
    await clock.advance(11_000);
    const before = server.requests.length;
    const seen = given.length;
    for (let n = 41; n <= 940; n++) post(server, n);
    await clock.advance(1_000);
    expect([server.requests.length, given.length]).toEqual([before, seen]);
    see(true);
    await clock.advance(1_000);
    expect(loads()).toEqual(upTo(940));
    expect(given.length).toBe(seen + 20);
    // A position that is too far behind is one read of what it names, and one of the latest page.
    expect(
      server.requests.slice(before).filter(({ path }) => path.includes('/events?')).length,
    ).toBeLessThanOrEqual(3);
    post(server, 941);
    await clock.advance(500);
    expect([feed.status.get().state, loads().at(-1)]).toEqual(['live', 941]);
  });

  it('says why a room is denied, and a feed that is closed leaves it', async () => {
    await clock.advance(1_000);
    server.deny('viewer', ROOM);
    await clock.advance(1_000);
    expect(feed.status.get()).toMatchObject({ state: 'stale', error: { code: 'unknown_room' } });
    expect(feed.latest.get()).toEqual(point(30));
    server.allow('viewer', ROOM);
    feed.close();
    feed.close();
    post(server, 31);
    await clock.advance(60_000);
    expect(feed.latest.get()).toEqual(point(30));
    expect(server.connections.flatMap(({ rooms }) => rooms)).toEqual([]);
  });
});

let renders = 0;

function Gauge() {
  const { data, status, events } = useFeed<Point>(ROOM, { limit: 5 });
  return <p>{`${status} ${data?.v.load} ${events.length}`}</p>;
}

function State() {
  renders++;
  return <b>{useFeed(ROOM, undefined, ({ status }: UseFeed) => status)}</b>;
}

describe('useFeed, under StrictMode', () => {
  const set = stage();
  let server: TestServer;

  beforeEach(() => {
    server = createTestServer();
    set.client = server.client();
    renders = 0;
  });

  it('shows what comes while mounted, and what a server renders is a feed without events', async () => {
    for (let n = 1; n <= 9; n++) post(server, n);
    const markup = renderToString(
      <RoomlogProvider client={set.client}>
        <Gauge />
      </RoomlogProvider>,
    );
    expect(markup).toBe('<p>connecting undefined 0</p>');
    await set.render(<Gauge />);
    await vi.dynamicImportSettled();
    await pass(100);
    expect(set.text).toBe('live 9 5');
    await act(async () => void post(server, 10));
    await pass(100);
    expect(set.text).toMatch(/^live 10 /);
    await pass(6_000);
    expect(set.text).toMatch(/^stale 10 /);
    await set.render(null);
    await pass(10);
    expect(server.connections.flatMap(({ rooms }) => rooms)).toEqual([]);
  });

  it('renders again for what was selected only', async () => {
    await set.render(<State />);
    await vi.dynamicImportSettled();
    await pass(100);
    await act(async () => void post(server, 1));
    await pass(100);
    expect(set.text).toBe('live');
    const was = renders;
    await act(async () => void post(server, 2));
    await pass(100);
    expect(renders).toBe(was);
  });
});
