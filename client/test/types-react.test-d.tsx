// Checked by `tsc` with the rest, beside types.test-d.ts, which registers the type of messages: what the hooks and the rows know of it.
import { createCollection, eq } from '@tanstack/db';
import { useLiveQuery } from '@tanstack/react-db';
import type { Client, LostConnection, Message, MessageBody, Room, RoomStatus, SendHandle } from 'roomlog';
import * as plain from 'roomlog/react';
import * as suspense from 'roomlog/react/suspense';
import { useDoc, useSuspenseDoc } from 'roomlog/react/yjs';
import { type MessageRow, roomlogCollectionOptions } from 'roomlog/tanstack-db';
import { type DocState, openDoc } from 'roomlog/yjs';
import type * as Y from 'yjs';

interface Card {
  x: number;
}

declare const client: Client;

/** What both entries have in common, each in its own words. */
function useBoth(hooks: typeof plain | typeof suspense) {
  const { state, retryNow } = hooks.useConnection();
  retryNow();
  hooks.useLostConnection((event: LostConnection) => event);
  // @ts-expect-error there is no such event
  hooks.useLostConnection(event => event === 'back');
  return state;
}

function usePlain() {
  const { messages, send, retry, discard, loadOlder } = plain.useMessages();
  const body: MessageBody | undefined = messages[0]?.data;
  const handle: SendHandle = send({ text: 'hi', replyTo: 4 });
  const gone: boolean = discard(handle.tag);
  retry(handle.tag);
  loadOlder();
  // @ts-expect-error a wrong payload is a compile error
  send({ txt: 'hi' });
  // @ts-expect-error so is one field too many
  send({ text: 'hi', colour: 'red' });
  // @ts-expect-error messages are read-only
  messages.push(messages[0]);
  // @ts-expect-error a tag is a string
  retry(7);
  // @ts-expect-error there is no such option
  plain.useMessages({ size: 50 });
  return { body, gone };
}

function useOwnType() {
  const { messages, send } = plain.useMessages<Card>();
  const x: number | undefined = messages[0]?.data.x;
  send({ x: 1 });
  // @ts-expect-error the registered type is not that of this room
  send({ text: 'hi' });
  const room: Room<Card> = plain.useRoom<Card>('board:a').room;
  return { x, room };
}

function useSelectors() {
  const count: number = plain.useMessages(m => m.messages.length);
  const last: Message | undefined = plain.useMessages(m => m.messages.at(-1));
  const text: string | undefined = plain.useMessages(m => m.messages[0]?.data.text);
  const xs: number[] = plain.useMessages((m: plain.UseMessages<Card>) =>
    m.messages.map(({ data }) => data.x),
  );
  const state: string = plain.useConnection(c => c.state);
  const status: RoomStatus = plain.useRoom(r => r.status);
  const seq: number = plain.useRoom(
    'chat:side',
    r => r.status.seq,
    (a, b) => Math.abs(a - b) < 10,
  );
  const older: boolean = plain.useReadable(client.room('chat:a').messages.older, o => o.hasMore);
  // @ts-expect-error a selector gives what it gives
  const wrong: string = plain.useMessages(m => m.messages.length);
  // @ts-expect-error and sees what there is
  plain.useConnection(c => c.colour);
  const same = (a: string, b: string) => a === b;
  // @ts-expect-error what is compared is what was selected
  plain.useRoom(r => r.status.seq, same);
  return { count, last, text, xs, state, status, seq, older, wrong };
}

function usePeople() {
  const first: string | undefined = plain.useOthers()[0]?.data.name;
  const names: string[] = plain.useOthers(others => others.map(({ data }) => data.name));
  const xs = suspense.useOthers<{ at: number }>().map(({ data }) => data.at);
  const [mine, setMine] = plain.useMyPresence();
  setMine({ x: (mine?.x ?? 0) + 1 });
  // @ts-expect-error presence has the registered type
  setMine({ z: 1 });
  const unread: number = plain.useReceipts(r => r.unread);
  const badges: number = plain.useRooms(rooms => rooms.reduce((sum, r) => sum + r.unread, 0));
  const { edit, react } = plain.useMessages({ unread: true });
  edit(1, { text: 'hi' });
  react('tag', '👍');
  // @ts-expect-error what is edited has the type of messages
  edit(1, { txt: 'hi' });
  return { first, names, xs, unread, badges };
}

function useValues() {
  const { title }: { readonly title?: string } = plain.useRoomState();
  const length: number = plain.useRoomState(state => state.title?.length ?? 0);
  const n: number | undefined = suspense.useRoomState((state: { n?: number }) => state.n);
  // @ts-expect-error state has the registered type
  plain.useRoomState(state => state.colour);
  return { title, length, n };
}

function useTwin() {
  const { room, status } = suspense.useRoom();
  const seq: number = suspense.useRoom(r => r.status.seq);
  const { send } = suspense.useMessages<Card>();
  send({ x: 1 });
  // @ts-expect-error a wrong payload is a compile error here too
  send({ y: 1 });
  // @ts-expect-error what suspends cannot attach a room by itself
  suspense.useRoom('chat:a');
  return { room, status, seq };
}

const provided = (
  <suspense.RoomlogProvider client={client}>
    <suspense.RoomProvider id="chat:a" fallback={<p>One moment</p>} />
    <plain.RoomProvider id="chat:a" />
    {/* @ts-expect-error a room has an id */}
    <plain.RoomProvider />
    {/* @ts-expect-error only what suspends has a fallback */}
    <plain.RoomProvider id="chat:a" fallback="" />
  </suspense.RoomlogProvider>
);

const rows = createCollection(roomlogCollectionOptions({ client, room: 'chat:a' }));
const row: MessageRow | undefined = rows.get('tag');
const order: number | undefined = row?.order;
rows.insert({ data: { text: 'hi', replyTo: 4 } });
rows.insert([{ data: { text: 'hi' }, tag: 'tag' }]);
// @ts-expect-error a wrong payload is a compile error
rows.insert({ data: { txt: 'hi' } });
// @ts-expect-error so is a row, which is for the server to make
rows.insert({ data: { text: 'hi' }, seq: 4 });
// @ts-expect-error the key is a tag
rows.get(7);

const cards = createCollection(roomlogCollectionOptions<Card>({ client, room: 'board:a', gcTime: 0 }));
cards.insert({ data: { x: 1 } });
// @ts-expect-error the registered type is not that of this room
cards.insert({ data: { text: 'hi' } });
// @ts-expect-error there is no such option
roomlogCollectionOptions({ client, room: 'chat:a', rooms: [] });

function useQuery() {
  const { data } = useLiveQuery(q =>
    q
      .from({ m: rows })
      .where(({ m }) => eq(m.delivery, 'failed'))
      .select(({ m }) => ({ tag: m.tag, text: m.data.text, seq: m.seq })),
  );
  const first: { tag: string; text: string; seq: number | null } | undefined = data[0];
  // @ts-expect-error only what was selected
  data[0]?.author;
  return first;
}

function useDocs() {
  const { ydoc, status } = useDoc('notes');
  const there: Y.Doc = useSuspenseDoc().ydoc;
  // @ts-expect-error there is none before it is mounted
  ydoc.getText();
  const state: DocState = status;
  // A room with types of its own is as good as any.
  return [there, state, openDoc(client.room<Card, Card, Card>('pad:a')).replaced?.update];
}

export const checked = [
  useDocs,
  usePeople,
  useValues,
  useBoth,
  usePlain,
  useOwnType,
  useSelectors,
  useTwin,
  useQuery,
  provided,
  order,
];
