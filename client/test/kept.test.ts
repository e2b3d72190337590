import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type Client,
  type ClientOptions,
  type ClientStorage,
  createClient,
  type SendBoxEvents,
  type StorageOwner,
  type StoredSend,
} from '../src/index.js';
import { ack, FakeNetwork, tagOf } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** What is kept of a page before this one. */
const kept = (n: number, text: string, fields: Partial<StoredSend> = {}): StoredSend => ({
  room: 'chat:a',
  tag: tagOf(n),
  type: 'message',
  json: JSON.stringify({ text }),
  at: Date.now(),
  order: n,
  tried: false,
  refusal: undefined,
  ...fields,
});

interface FakeBox {
  owner: StorageOwner;
  events: SendBoxEvents;
  adoptions: (() => void)[];
  puts: StoredSend[];
  deleted: string[];
}

/** A storage that finds what was kept when the test says so. */
function slowStorage() {
  const boxes: FakeBox[] = [];
  const storage: ClientStorage = {
    sends(owner, events) {
      const box: FakeBox = { owner, events, adoptions: [], puts: [], deleted: [] };
      boxes.push(box);
      return {
        put: send => void box.puts.push(send),
        delete: (_, tag) => void box.deleted.push(tag),
        adopt: () => new Promise<void>(resolve => void box.adoptions.push(resolve)),
        close: async () => {},
      };
    },
    windows: () => ({ read: async () => undefined, put: () => {}, delete: () => {}, close: async () => {} }),
    marks: () => ({ all: async () => new Map(), put: () => {}, delete: () => {}, close: async () => {} }),
  };
  const found = (box: FakeBox, ...sends: StoredSend[]) => {
    if (sends.length > 0) box.events.adopted(sends);
    for (const done of box.adoptions.splice(0)) done();
  };
  return { boxes, storage, found };
}

// What keeps is loaded when it is first needed, in time that is not faked.
await import('../src/client/kept.js');

describe('what was kept, with a storage that takes its time', () => {
  let network: FakeNetwork;
  const clients: Client[] = [];

  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    network = new FakeNetwork();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  function open(options: Partial<ClientOptions>): Client {
    const client = createClient({
      url: 'http://h:1',
      token: 't',
      transports: ['websocket'],
      WebSocket: network.WebSocket,
      ...options,
    });
    clients.push(client);
    void client.connect();
    return client;
  }

  const sent = () => network.last.sent.filter(frame => frame.op === 'send');
  const texts = (client: Client) =>
    client
      .room('chat:a')
      .messages.list.get()
      .map(m => `${m.data.text} ${m.delivery}`);

  it('is never sent as another user, though it is found after the server said who that is', async () => {
    const { boxes, storage, found } = slowStorage();
    const client = open({ storage, user: 'ann' });
    await pass(0);
    network.last.welcome({ user: 'bob' });
    await pass(0);
    expect(boxes.map(box => box.owner.user)).toEqual(['ann', 'bob']);
    found(boxes[0] as FakeBox, kept(1, 'of ann'));
    found(boxes[1] as FakeBox, kept(2, 'of bob'));
    await pass(2_000);
    expect(sent().map(frame => frame.tag)).toEqual([tagOf(2)]);
    expect(texts(client)).toEqual(['of bob sending']);
    expect(boxes.flatMap(box => box.puts).filter(send => send.tag === tagOf(1))).toEqual([]);
  });

  it('leaves a closed client alone', async () => {
    const { boxes, storage, found } = slowStorage();
    const client = open({ storage, user: 'ann' });
    await pass(0);
    await client.close();
    found(boxes[0] as FakeBox, kept(1, 'late'));
    expect(client.status.get().pendingSends).toBe(0);
    expect(texts(client)).toEqual([]);
  });

  it('is one message where the application sends it again with its own tag', async () => {
    const { boxes, storage, found } = slowStorage();
    const client = open({ storage, user: 'u1' });
    await pass(0);
    found(boxes[0] as FakeBox, kept(1, 'draft', { tried: true }));
    const again = client.room('chat:a').messages.send({ text: 'draft' }, { tag: tagOf(1) });
    expect(texts(client)).toEqual(['draft queued']);
    network.last.welcome();
    await pass(0);
    expect(sent()).toHaveLength(1);
    network.last.say(ack(network.last.take('send'), 7));
    expect((await again).seq).toBe(7);
    expect(texts(client)).toEqual(['draft sent']);
  });

  it('goes out before what is written now, though it is found late', async () => {
    const { boxes, storage, found } = slowStorage();
    const client = open({ storage });
    await pass(0);
    network.last.welcome();
    client.room('chat:a').messages.send({ text: 'new' });
    await pass(100);
    expect(sent()).toEqual([]);
    found(boxes[0] as FakeBox, kept(1, 'a'), kept(2, 'b'));
    await pass(0);
    expect(sent().map(frame => frame.data)).toEqual([{ text: 'a' }, { text: 'b' }, { text: 'new' }]);
  });

  it('holds nothing up for long where it cannot be read', async () => {
    const client = open({ storage: slowStorage().storage });
    await pass(0);
    network.last.welcome();
    client.room('chat:a').messages.send({ text: 'new' });
    await pass(1_000);
    expect(sent().map(frame => frame.data)).toEqual([{ text: 'new' }]);
  });

  it('is forgotten where it is discarded after the client was closed', async () => {
    const { boxes, storage } = slowStorage();
    const client = open({ storage, user: 'u1' });
    await pass(0);
    const { messages } = client.room('chat:a');
    const { tag } = messages.send({ text: 'no, better not' });
    await client.close();
    expect(messages.discard(tag)).toBe(true);
    await Promise.resolve(); // it is told in its turn
    expect(boxes.flatMap(box => box.deleted)).toEqual([tag]);
  });
});
