// @vitest-environment happy-dom
import { act, Component, type ReactNode, startTransition, useState } from 'react';
import { describe, expect, it } from 'vitest';
import * as plain from '../src/react/index.js';
import * as suspense from '../src/react/suspense.js';
import { joined, page, refusal } from './fake/socket.js';
import { pass, stage } from './fake/stage.js';

const set = stage();
const { RoomProvider, useMessages, useRoom } = suspense;

function Chat() {
  const { messages, isPending, error } = useMessages();
  const state = useRoom(r => r.status.state);
  const texts = messages.map(m => m.data.text).join();
  return <p>{`${state}: ${texts}${isPending ? ' pending' : ''}${error ? ` but ${error.code}` : ''}`}</p>;
}

class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};
  static getDerivedStateFromError = (error: Error) => ({ error });
  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <button type="button" onClick={() => this.setState({ error: undefined as never })}>
        {error.message}
      </button>
    );
  }
}

const room = (id = 'chat:a') => (
  <Boundary>
    <RoomProvider id={id} fallback="wait">
      <Chat />
    </RoomProvider>
  </Boundary>
);

let go: (id: string) => void;
function Router() {
  const [id, setId] = useState('chat:a');
  go = setId;
  return room(id);
}

/** React reports what an error boundary has caught: that is expected here. */
const caught = () => set.complaints.splice(0).map(said => said.map(String).join(' '));

describe('the Suspense twin', () => {
  it('has the same names', () => {
    expect(Object.keys(suspense).sort()).toEqual(Object.keys(plain).sort());
  });

  it('shows the fallback until the first page, joins once, and does not suspend again', async () => {
    await set.render(room());
    expect(set.text).toBe('wait');
    const socket = await set.joined();
    expect(set.text).toBe('live: m1,m2');
    await act(async () => void socket.say(page(2, 3)));
    expect(set.text).toBe('live: m1,m2,m3');
    await act(async () => socket.end());
    expect(set.text).toBe('attaching: m1,m2,m3');
    expect(set.network.sockets).toHaveLength(1);
    expect(socket.sent).toEqual([]);
  });

  it('another room shows the fallback again; one that is known does not', async () => {
    await set.render(room('chat:a'));
    const socket = await set.joined();
    await set.render(room('chat:b'));
    await pass();
    expect(set.text).toBe('wait');
    const { id } = socket.take('join');
    await act(async () => void socket.say(joined(id, 4, 5, { room: 'chat:b' })));
    expect(set.text).toBe('live: m5');
    await set.render(room('chat:a'));
    expect(set.text).toBe('attaching: m1,m2');
  });

  it('a transition to another room goes through, though nothing of it is there', async () => {
    await set.render(<Router />);
    const socket = await set.joined();
    await act(async () => startTransition(() => go('chat:b')));
    await pass();
    expect(socket.sent.map(({ op, room }) => `${op} ${room}`)).toEqual(['join chat:b', 'leave chat:a']);
    const { id } = socket.take('join');
    await act(async () => void socket.say(joined(id, 0, 1, { room: 'chat:b' })));
    expect(set.text).toBe('live: m1');
  });

  it('a denied room goes to the error boundary, and is tried again with it', async () => {
    await set.render(room());
    const socket = await set.connected();
    await act(async () => void socket.say(refusal(socket.take('join'), 'forbidden', false)));
    expect(set.text).toBe('It is forbidden.');
    expect(caught()).not.toEqual([]);
    await pass();
    await act(async () => set.host.querySelector('button')?.click());
    await pass();
    expect(set.text).toBe('wait');
    expect(socket.take('leave')).toMatchObject({ room: 'chat:a' });
    await act(async () => void socket.say(joined(socket.take('join').id, 0, 1)));
    expect(set.text).toBe('live: m1');
  });

  it('what happens to a room that is there is in what the hooks give', async () => {
    await set.render(room());
    const socket = await set.joined();
    const taken = { op: 'error', room: 'chat:a', code: 'forbidden', title: 'No.', retryable: false };
    await act(async () => void socket.say(taken));
    expect(set.text).toBe('denied: m1,m2 but forbidden');
  });

  it('a connection that failed for good before that goes to the error boundary too', async () => {
    await set.render(room());
    await pass();
    await act(async () => set.network.last.accept().end(4_500, 'gone'));
    expect(set.client.status.get().state).toBe('failed');
    expect(set.text).toBe(set.client.status.get().reason?.message);
    expect(caught()).not.toEqual([]);
  });

  it('says which provider is missing', async () => {
    await set.render(
      <Boundary>
        <RoomProvider id="chat:a">
          <plain.RoomProvider id="chat:b">
            <Chat />
          </plain.RoomProvider>
        </RoomProvider>
      </Boundary>,
    );
    expect(set.text).toMatch(/roomlog\/react\/suspense: there is no <RoomProvider>/);
    expect(caught()).not.toEqual([]);
  });
});
