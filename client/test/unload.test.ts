// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type ClientOptions, createClient } from '../src/index.js';
import { ack, FakeNetwork } from './fake/socket.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

async function asks() {
  await vi.advanceTimersByTimeAsync(0); // the page is left in a task of its own
  return !window.dispatchEvent(new Event('beforeunload', { cancelable: true }));
}

async function connected(options: Partial<ClientOptions> = {}) {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket, ...options });
  void client.connect();
  await vi.advanceTimersByTimeAsync(0);
  network.last.welcome();
  return { network, client, room: client.room('chat:a') };
}

it('the browser asks before the page is left only while something is unsent', async () => {
  const { network, client, room } = await connected();
  const other = await connected();
  expect(await asks()).toBe(false);
  void room.messages.send({ text: 'x' });
  void other.room.messages.send({ text: 'y' });
  expect(await asks()).toBe(true);
  network.last.say(ack(network.last.take('send'), 1));
  expect(await asks()).toBe(true);
  await other.client.close();
  expect(await asks()).toBe(false);
  void room.messages.send({ text: 'z' });
  await client.close();
  expect(await asks()).toBe(false);
});

it('or never, where the application says so', async () => {
  const { client, room } = await connected({ warnBeforeUnload: false });
  void room.messages.send({ text: 'x' });
  expect(await asks()).toBe(false);
  await client.close();
});
