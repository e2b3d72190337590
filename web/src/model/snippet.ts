/** A piece of a snippet; `kind` marks what was filled in for this server. */
export interface Piece {
  readonly text: string;
  readonly kind?: 'url' | 'token';
}

/** One tab: a way to use the room, ready to be pasted. */
export interface Snippet {
  readonly id: 'react' | 'vanilla' | 'curl';
  readonly title: string;
  /** What it needs first, copied with the rest. */
  readonly imports: string;
  readonly pieces: readonly Piece[];
  /** What to know before or after pasting it. */
  readonly note: string;
}

/** What is filled in. */
export interface Filling {
  /** The server's origin, such as http://127.0.0.1:8080. */
  readonly url: string;
  readonly token: string;
  readonly room: string;
  /** The tag of the event that the curl tab sends. */
  readonly tag: string;
}

/** The snippet as the text that is copied. */
export function plainText(snippet: Snippet): string {
  return snippet.imports + snippet.pieces.map(piece => piece.text).join('');
}

/** The tabs for one server and token. */
export function snippets(f: Filling): readonly Snippet[] {
  return [react(f), vanilla(f), curl(f)];
}

function react(f: Filling): Snippet {
  return {
    id: 'react',
    title: 'React',
    imports:
      "import { createClient } from 'roomlog';\n" +
      "import { RoomlogProvider, RoomProvider, useConnection, useMessages } from 'roomlog/react';\n",
    note: 'A chat with delivery states, retries and reconnects. Beside a clone of Roomlog: npm install $(npm pack -q ../roomlog/client)',
    pieces: fill(
      f,
      `const client = createClient({ url: 'URL', token: 'TOKEN' });
export default () => (
  <RoomlogProvider client={client}><RoomProvider id="ROOM"><Chat /></RoomProvider></RoomlogProvider>);
function Chat() {
  const { messages, send, retry } = useMessages(); const { state } = useConnection();
  return <><p role="status">{state}</p><ol>{messages.map(m => <li key={m.tag} data-delivery={m.delivery}>{m.data.text}
    {m.delivery === 'failed' && <button onClick={() => retry(m.tag)}>Retry</button>}</li>)}</ol>
    <form onSubmit={e => { e.preventDefault(); const f = e.currentTarget; send({ text: String(new FormData(f).get('t')) }); f.reset(); }}><input name="t" aria-label="Message" /></form></>;
}
`,
    ),
  };
}

function vanilla(f: Filling): Snippet {
  return {
    id: 'vanilla',
    title: 'Plain',
    imports: "import { createClient } from 'roomlog';\n",
    note: 'For a browser, or Node 22 and later. Beside a clone of Roomlog: npm install $(npm pack -q ../roomlog/client)',
    pieces: fill(
      f,
      `const client = createClient({ url: 'URL', token: 'TOKEN' });
const room = client.room('ROOM');
room.attach();
room.messages.list.subscribe(() => {
  const last = room.messages.list.get().at(-1);
  if (last) console.log(last.seq, last.author, last.data.text, last.delivery);
});
const sent = await room.messages.send({ text: 'hello from my app' });
console.log('stored as number', sent.seq);
`,
    ),
  };
}

function curl(f: Filling): Snippet {
  return {
    id: 'curl',
    title: 'curl',
    imports: '',
    note: 'Run it twice: the tag makes it one message all the same.',
    pieces: fill(
      f,
      `TOKEN='TOKEN'
curl -sS -X POST 'URL/v1/rooms/ROOM/events' \\
  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{"tag":"TAG","type":"message","data":{"text":"hello from curl"}}'
curl -sS 'URL/v1/rooms/ROOM/events?after=0&limit=100' -H "Authorization: Bearer $TOKEN"
`,
    ),
  };
}

/** Puts the filling into a template, and marks the URL and the token. */
function fill(f: Filling, template: string): Piece[] {
  const text = template.replaceAll('ROOM', f.room).replaceAll('TAG', f.tag);
  return text
    .split(/('TOKEN'|URL)/)
    .filter(part => part !== '')
    .flatMap((part): Piece[] => {
      if (part === 'URL') return [{ text: f.url, kind: 'url' }];
      if (part === "'TOKEN'") return [{ text: "'" }, { text: f.token, kind: 'token' }, { text: "'" }];
      return [{ text: part }];
    });
}
