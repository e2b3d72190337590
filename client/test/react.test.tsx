// @vitest-environment happy-dom
import { act, type ReactNode, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient, type Message } from '../src/index.js';
import {
  RoomlogProvider,
  RoomProvider,
  type UseMessages,
  useConnection,
  useMessages,
  useRoom,
} from '../src/react/index.js';
import { ack, event, FakeNetwork, joined, page, refusal } from './fake/socket.js';

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

// What the hooks gave at the last render.
let messages: UseMessages;
let renders = 0;

function Chat() {
  messages = useMessages();
  renders++;
  const { state } = useConnection();
  return (
    <>
      <p role="status">{state}</p>
      <ol>
        {messages.messages.map(m => (
          <li key={m.tag} data-delivery={m.delivery}>
            {m.data.text}
          </li>
        ))}
      </ol>
    </>
  );
}

function Side() {
  const { room, status } = useRoom('chat:side');
  return <i>{`${room.id} ${status.state}`}</i>;
}

describe('react', () => {
  let network: FakeNetwork;
  let client: Client;
  let root: Root;
  let host: HTMLElement;
  const errors = vi.fn();

  const app = (inside: ReactNode = <Chat />, id = 'chat:a') => (
    <StrictMode>
      <RoomlogProvider client={client}>
        <RoomProvider id={id}>{inside}</RoomProvider>
      </RoomlogProvider>
    </StrictMode>
  );
  const rows = () => [...host.querySelectorAll('li')].map(li => `${li.textContent} ${li.dataset.delivery}`);

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
    vi.spyOn(console, 'error').mockImplementation(errors);
    network = new FakeNetwork();
    client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
    host = document.createElement('div');
    root = createRoot(host);
    renders = 0;
  });

  afterEach(async () => {
    await act(async () => root.unmount());
    await client.close();
    expect(errors.mock.calls).toEqual([]);
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  /** Renders, connects and joins with two messages. */
  async function joinedRoom() {
    await act(async () => root.render(app()));
    await pass(0);
    const socket = network.last;
    await act(async () => socket.welcome());
    await act(async () => socket.say(joined(socket.take('join').id, 0, 2)));
    return socket;
  }

  it('under StrictMode opens one socket, joins once and never leaves', async () => {
    const socket = await joinedRoom();
    await pass(1_000);
    expect(network.sockets).toHaveLength(1);
    expect(socket.sent).toEqual([]);
    expect(host.querySelector('p')?.textContent).toBe('connected');
    expect(rows()).toEqual(['m1 sent', 'm2 sent']);
    expect(messages.isPending).toBe(false);
  });

  it('shows a send before any network; the row stays the same DOM node through the ack and the page', async () => {
    const socket = await joinedRoom();
    await act(async () => void messages.send({ text: 'hi' }));
    const row = host.querySelector('li:last-child');
    expect(rows().at(-1)).toBe('hi sending');
    await act(async () => socket.say(ack(socket.take('send'), 3)));
    expect(rows().at(-1)).toBe('hi sent');
    expect(host.querySelector('li:last-child')).toBe(row);
    const { tag } = messages.messages.at(-1) as Message;
    const mine = event(3, { author: 'u1', tag, data: { text: 'hi' } });
    await act(async () => socket.say({ ...page(2, 3), events: [mine] }));
    expect(rows()).toEqual(['m1 sent', 'm2 sent', 'hi sent']);
    expect(host.querySelector('li:last-child')).toBe(row);
  });

  it('shows a refusal; retry and discard work by tag', async () => {
    const socket = await joinedRoom();
    await act(async () => void messages.send({ text: 'no' }));
    await act(async () => socket.say(refusal(socket.take('send'), 'forbidden', false)));
    expect(rows().at(-1)).toBe('no failed');
    const { tag, error } = messages.messages.at(-1) as Message;
    expect(error?.code).toBe('forbidden');
    await act(async () => messages.retry(tag));
    expect(rows().at(-1)).toBe('no sending');
    await act(async () => socket.say(refusal(socket.take('send'), 'forbidden', false)));
    await act(async () => void messages.discard(tag));
    expect(rows()).toEqual(['m1 sent', 'm2 sent']);
  });

  it('leaves the room and joins the other when the id changes', async () => {
    const socket = await joinedRoom();
    await act(async () => root.render(app(<Chat />, 'chat:b')));
    await pass(0);
    expect(socket.take('leave')).toMatchObject({ room: 'chat:a' });
    expect(socket.take('join')).toMatchObject({ room: 'chat:b' });
    expect(rows()).toEqual([]);
    expect(messages.isPending).toBe(true);
  });

  it('useRoom with an id attaches by itself and leaves with its component', async () => {
    const socket = await joinedRoom();
    await act(async () => root.render(app(<Side />)));
    expect(socket.take('join')).toMatchObject({ room: 'chat:side' });
    expect(host.querySelector('i')?.textContent).toBe('chat:side attaching');
    await act(async () => root.render(app(null)));
    await pass(0);
    expect(socket.take('leave')).toMatchObject({ room: 'chat:side' });
  });

  it('does not render again when nothing has changed, and keeps its functions', async () => {
    const socket = await joinedRoom();
    const { send, retry, loadOlder } = messages;
    const before = renders;
    await act(async () => socket.say({ op: 'ping' }));
    await pass(1_000);
    expect(renders).toBe(before);
    await act(async () => socket.say(page(2, 3)));
    expect(renders).toBeGreaterThan(before);
    expect(messages).toMatchObject({ send, retry, loadOlder });
  });

  it('says what is missing around a hook', () => {
    expect(() => renderToString(<Chat />)).toThrow(/RoomlogProvider/);
    const bare = <RoomlogProvider client={client}>{<Chat />}</RoomlogProvider>;
    expect(() => renderToString(bare)).toThrow(/RoomProvider/);
  });

  it('renders on a server without connecting', () => {
    expect(renderToString(app())).toContain('idle');
    expect(network.sockets).toHaveLength(0);
  });
});
