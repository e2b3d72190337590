// Checked by `tsc` with the rest: a line below that stops being an error, or becomes one, fails `npm run check`.
import { createClient, type Message, type Readable, type Room, type SendHandle } from 'roomlog';
import { openFeed } from 'roomlog/feed';

interface Body {
  text: string;
  replyTo?: number;
}

interface Here {
  name: string;
  x: number;
}

declare module 'roomlog' {
  interface Register {
    message: Body;
    presence: Here;
    state: { title: string; done?: boolean };
  }
}

const client = createClient({
  url: '/',
  token: async ({ signal }) => (await fetch('/token', { signal })).text(),
});

// The registered type is that of every room that names none.
const room: Room<Body> = client.room('chat:lobby');
const handle: SendHandle<Body> = room.messages.send({ text: 'hi', replyTo: 4 });
export const settled: Promise<Message<Body>> = handle;
export const list: Readable<readonly Message<Body>[]> = room.messages.list;
export const tag: string = handle.tag;

// @ts-expect-error a wrong payload is a compile error
room.messages.send({ txt: 'hi' });
// @ts-expect-error so is one field too many
room.messages.send({ text: 'hi', colour: 'red' });
// @ts-expect-error and a missing one
room.messages.send({ replyTo: 4 });
// @ts-expect-error a message has no field that its type does not have
room.messages.list.get()[0]?.data.colour;
// @ts-expect-error messages are read-only
room.messages.list.get()[0].delivery = 'sent';

room.presence.set({ x: 1 });
export const names: string[] = room.presence.others.get().map(({ data }) => data.name);
void room.messages.edit(1, { text: 'hi' });
// @ts-expect-error presence has the registered type
room.presence.set({ y: 1 });
// @ts-expect-error and so has what is edited
room.messages.edit(1, { txt: 'hi' });
const cursors = client.room<Body, { at: [number, number] }>('board:b');
cursors.presence.set({ at: [1, 2] });
// @ts-expect-error the registered type is not that of this room
cursors.presence.set({ x: 1 });

room.state.set({ title: 'x', done: null });
export const title: string | undefined = room.state.get('title');
// @ts-expect-error state has the registered type
room.state.set({ title: 1 });
// @ts-expect-error and only its keys
room.state.get('colour');
// @ts-expect-error values are read-only
room.state.get().title = 'y';
void room.state.update(draft => {
  draft.title = 'y';
});
room.on('lost', ({ by, putBack }) => by !== 'me' && putBack());
const counted = client.room<Body, Here, { n: number }>('board:c');
counted.state.set({ n: 1 });
// @ts-expect-error the registered type is not that of this room
counted.state.set({ title: 'x' });

// A type of its own overrides the registered one.
const board = client.room<{ x: number; y: number }>('board:a');
void board.messages.send({ x: 1, y: 2 });
// @ts-expect-error the registered type is not that of this room
void board.messages.send({ text: 'hi' });

const feed = openFeed<{ load: number }>(client, 'feed:plant', { limit: 10 });
export const load: number | undefined = feed.latest.get()?.load;
export const at: Date | undefined = feed.events.get()[0]?.at;
// @ts-expect-error a point has no field that its type does not have
feed.latest.get()?.weight;
// @ts-expect-error nothing is sent to a feed
feed.send;

// @ts-expect-error a token is required
createClient({ url: '/' });
// @ts-expect-error only the events there are
client.on('drop', () => {});
room.on('reset', reset => {
  export_(reset.reason, reset.from);
  // @ts-expect-error and only their fields
  reset.colour;
});

function export_(..._: unknown[]): void {}
