// @vitest-environment happy-dom
import { act } from 'react';
import { renderToString } from 'react-dom/server';
import { beforeEach, describe, expect, it } from 'vitest';
import * as plain from '../src/react/index.js';
import * as suspense from '../src/react/suspense.js';
import { event, type FakeSocket, joined, page } from './fake/socket.js';
import { pass, stage } from './fake/stage.js';

await import('../src/client/sides/part.js');
await import('../src/client/me.js');

const set = stage();
const SINCE = '2026-11-23T10:00:00Z';

const member = (user: string, data: object = {}) => ({ user, idle: false, since: SINCE, devices: [], data });
const say = (socket: FakeSocket, op: string, fields: object) =>
  act(async () => void socket.say({ op, room: 'chat:a', ...fields }));

// Which entry it is, and what the hooks gave at the last render.
let hooks: typeof plain | typeof suspense = plain;
let renders = 0;
let move: (patch: { x?: number }) => void;
let receipts: plain.UseReceipts;
let typing: plain.UseTyping;
let edit: plain.UseMessages['edit'];

function Names() {
  renders++;
  return <i>{hooks.useOthers(others => others.map(({ user }) => user)).join()}</i>;
}

function Me() {
  const [mine, setMine] = hooks.useMyPresence<{ x: number }>();
  move = setMine;
  return <b>{mine?.x ?? 'nowhere'}</b>;
}

function Count() {
  const { occupancy, others } = hooks.usePresence();
  return <u>{`${occupancy.users} ${others.length}`}</u>;
}

function Line() {
  receipts = hooks.useReceipts();
  typing = hooks.useTyping();
  const messages = hooks.useMessages({ unread: true });
  edit = messages.edit;
  return <p>{`${receipts.unread} ${messages.firstUnreadSeq} ${typing.who}`}</p>;
}

function Rooms() {
  return <p>{hooks.useRooms(rooms => rooms.map(({ room, unread }) => `${room} ${unread}`)).join()}</p>;
}

function All() {
  const { others } = hooks.usePresence();
  const here = [others.length, hooks.useOthers().length, String(hooks.useMyPresence()[0])];
  const said = [hooks.useReceipts().unread, hooks.useTyping().who.length, hooks.useRooms().length];
  return <p>{[...here, ...said].join()}</p>;
}

/** Joins, and once more where a side was wanted after the first join. */
async function connected(): Promise<FakeSocket> {
  const socket = await set.joined();
  await pass(1);
  for (const join of socket.sent.splice(0).filter(({ op }) => op === 'join')) {
    await act(async () => void socket.say(joined(join.id, 2, 2)));
  }
  return socket;
}

describe.each([
  { name: 'roomlog/react', entry: plain },
  { name: 'roomlog/react/suspense', entry: suspense },
])('hooks about people of $name, under StrictMode', ({ entry }) => {
  const { RoomProvider } = entry;

  beforeEach(() => {
    hooks = entry;
    renders = 0;
  });

  it('say who is here, and render again only for what was selected', async () => {
    await set.render(
      <RoomProvider id="chat:a">
        <Names />
        <Me />
        <Count />
      </RoomProvider>,
    );
    const socket = await connected();
    const here = { users: 2, connections: 2 };
    const first = [member('u1'), member('u2', { x: 1 })];
    await say(socket, 'presence', { full: true, version: 1, ...here, set: first });
    expect(set.text).toBe('u2nowhere2 1');
    const was = renders;
    const moved = { set: [member('u2', { x: 2 })], gone: [] };
    await say(socket, 'presence', { prev: 1, version: 2, ...here, ...moved });
    expect(renders).toBe(was);
    const before = move;
    await act(async () => move({ x: 7 }));
    expect(set.text).toBe('u272 1');
    expect(move).toBe(before);
    expect(socket.take('presence')).toMatchObject({ data: { x: 7 } });
  });

  it('say who types, what is unread and who has read', async () => {
    await set.render(
      <RoomProvider id="chat:a">
        <Line />
      </RoomProvider>,
    );
    const socket = await connected();
    const marked = { delivered: 2, read: 0, head: 2, unread: 2, more: false, first_unread: 1 };
    await say(socket, 'marked', marked);
    expect(set.text).toBe('2 1 ');
    const typed = { user: 'u2', connection: 'c2', type: 'typing', key: '', data: true };
    await say(socket, 'signals', { full: true, version: 1, set: [typed] });
    expect(set.text).toBe('2 1 u2');
    await act(async () => {
      receipts.markRead(1);
      typing.keystroke();
    });
    expect(set.text).toBe('1 2 u2');
    const mark = { user: 'u3', delivered: 2, read: 2 };
    await say(socket, 'receipts', { full: true, version: 1, set: [mark] });
    expect(receipts.readers(2)).toEqual(['u3']);
    await act(async () => void edit(1, { text: 'x' }));
    expect(socket.take('send')).toMatchObject({ type: 'edit', data: { target: 1 } });
    await act(async () => void socket.say({ ...page(2, 3), events: [event(3, { author: 'u2' })] }));
    expect(set.text).toBe('2 2 ');
  });

  it("give one's own rooms without joining any", async () => {
    await set.render(<Rooms />);
    void set.client.connect();
    const socket = await set.connected();
    await pass(1);
    expect(socket.sent.filter(({ op }) => op === 'me')).toHaveLength(1);
    const rooms = [{ room: 'chat:a', head: 1, unread: 3 }];
    await act(async () => void socket.say({ op: 'me', full: true, rooms, gone: [] }));
    expect(set.text).toBe('chat:a 3');
    expect(socket.sent.filter(({ op }) => op === 'join')).toEqual([]);
  });

  it('render on a server: nobody is anywhere', () => {
    const html = renderToString(
      set.app(
        <plain.RoomProvider id="chat:a">
          <All />
        </plain.RoomProvider>,
      ),
    );
    expect(html).toBe('<p>0,0,undefined,0,0,0</p>');
    expect(set.network.sockets).toEqual([]);
  });
});
