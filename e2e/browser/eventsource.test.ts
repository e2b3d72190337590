import { EventSource as NpmEventSource } from 'eventsource';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, openContext } from './chromium.ts';
import { eventually } from './home.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// TICK-5, SSE-8: an EventSource has nothing but its URL. With a one-time ticket in it, it comes back through a
// connection that is cut again and again, and nothing is lost or given twice.

/** What one EventSource saw. */
interface Seen {
  /** How often it has connected. */
  readonly opened: number;
  readonly seqs: readonly number[];
  readonly closed: boolean;
  readonly lastId: string;
}

let server: Server;
let proxy: FaultProxy;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  proxy = await FaultProxy.start(server.url);
});

afterAll(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
});

async function ticketFor(user: string): Promise<string> {
  const { token } = await (await fetch(`${server.url}/v1/dev/token?user=${user}`)).json();
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`${server.url}/v1/tickets`, { method: 'POST', headers });
  expect(answer.status).toBe(201);
  return (await answer.json()).ticket;
}

/** Writes to the room while the stream is cut, and expects it to have everything once, in order. */
async function throughCuts(room: string, path: string, look: () => Promise<Seen>): Promise<void> {
  await eventually(async () => (await look()).opened).toBe(1);
  let written = 0;
  const write = async (count: number) => {
    await server.post(
      room,
      'writer',
      Array.from({ length: count }, (_, i) => `${written + i}`),
    );
    written += count;
  };
  for (let round = 1; round <= 3; round++) {
    await write(5);
    await eventually(async () => (await look()).seqs.length).toBe(written);
    await proxy.cut('');
    await write(20); // while it is away
    await eventually(async () => (await look()).opened).toBe(round + 1);
  }
  await eventually(async () => (await look()).seqs.length).toBe(written);
  const seen = await look();
  expect(seen.seqs).toEqual(Array.from({ length: written }, (_, i) => i + 1));
  expect(seen.closed).toBe(false);

  // Who finds the URL has nothing: without the id, and with one that is made up.
  const stolen = `${server.url}${path}`;
  const madeUp = `${seen.lastId.slice(0, -8)}0badcafe`;
  for (const headers of [{}, { 'Last-Event-ID': madeUp }]) {
    const answer = await fetch(stolen, { headers });
    expect(answer.status).toBe(401);
    await answer.body?.cancel();
  }
}

test("Chromium's own EventSource comes back with its ticket", async () => {
  const context = await openContext(browser, { bypassCSP: true });
  const page = await context.newPage();
  await page.goto(`${proxy.url}/errors`); // any page of this origin
  const room = 'chat:chromium';
  const path = `/v1/sse?room=${room}&ticket=${await ticketFor('mira')}`;
  const handle = await page.evaluateHandle(url => {
    const source = new EventSource(url);
    const seen = { opened: 0, seqs: [] as number[], closed: false, lastId: '' };
    source.addEventListener('ready', () => seen.opened++);
    source.addEventListener('page', event => {
      seen.lastId = event.lastEventId;
      for (const stored of JSON.parse(event.data).events) seen.seqs.push(stored.seq);
    });
    source.addEventListener('error', () => {
      seen.closed = source.readyState === EventSource.CLOSED;
    });
    return seen;
  }, path);
  await throughCuts(room, path, () => handle.jsonValue());
  await context.close();
});

test('the EventSource of npm comes back with its ticket', async () => {
  const room = 'chat:npm';
  const path = `/v1/sse?room=${room}&ticket=${await ticketFor('jonas')}`;
  const source = new NpmEventSource(`${proxy.url}${path}`);
  const seen = { opened: 0, seqs: [] as number[], closed: false, lastId: '' };
  source.addEventListener('ready', () => seen.opened++);
  source.addEventListener('page', event => {
    seen.lastId = event.lastEventId;
    for (const stored of JSON.parse(event.data).events) seen.seqs.push(stored.seq);
  });
  source.addEventListener('error', () => {
    seen.closed = source.readyState === NpmEventSource.CLOSED;
  });
  try {
    await throughCuts(room, path, async () => seen);
  } finally {
    source.close();
  }
});
