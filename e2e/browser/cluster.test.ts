import type { Browser } from 'playwright-core';
import { type Client, createClient, type TransportName } from 'roomlog';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Chat, chatUrl } from './chat.ts';
import { launch, leave, visit } from './chromium.ts';
import { Cluster } from './cluster.ts';
import { eventually, type Row } from './home.ts';
import { Witness } from './witness.ts';

// Two people in one room of a real cluster, each in a window of their own, both by the load balancer, while what they are
// connected to goes away and comes back.

const late = 'Updates may be a second late';

/** More than a step takes on a machine that does much else, in milliseconds. */
const patience = 60_000;

/** A window, who watches it since it was opened, and what was written in it. */
type Window = Chat & { readonly witness: Witness; readonly said: string[] };

let browser: Browser;
let cluster: Cluster;
let windows: Window[];
let rooms = 0;
let room: string;

beforeAll(async () => {
  [browser, cluster] = await Promise.all([launch(), Cluster.start()]);
}, 5 * patience); // it may have to be compiled first
afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

async function open(as: 'Mira' | 'Jonas'): Promise<Window> {
  const { page, complaints } = await visit(browser, 'about:blank');
  page.setDefaultTimeout(patience);
  const witness = await Witness.of(page);
  await page.goto(chatUrl(cluster.url, { as, room }));
  const chat = await new Chat(page, complaints).ready();
  return Object.assign(chat, { witness, said: [] });
}

/** Writes in both windows, message after message, while something is done. */
async function talkDuring(work: () => Promise<void>): Promise<void> {
  let isOver = false;
  const talk = async (window: Window) => {
    for (let n = 1; !isOver; n++) {
      const text = `typed ${n} by ${windows.indexOf(window)}`;
      await window.say(text);
      window.said.push(text);
      await eventually(() => window.witness.hasSeen(text)).toBe(true); // sent or not
      await window.page.waitForTimeout(400); // as somebody types
    }
  };
  const done = work().finally(() => {
    isOver = true;
  });
  await Promise.all([done, ...windows.map(talk)]);
}

/** Walks a conversation from its first message to its end, and gives its rows in the order in which they stand there. */
function walk({ log }: Chat): Promise<Row[]> {
  return log.evaluate(async box => {
    const frame = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const rows: { seq: number; tag: string; text: string }[] = [];
    box.scrollTop = 0;
    for (;;) {
      await frame();
      let at = -1; // the place among the rows so far of the last one that is in the document
      for (const row of box.querySelectorAll('.bubble-row')) {
        const tag = String(row.getAttribute('data-tag'));
        const known = rows.findIndex(other => other.tag === tag);
        if (known >= 0 && at >= 0 && known !== at + 1)
          throw new Error(`${tag} stands at ${at + 1} and ${known}`);
        at = known >= 0 ? known : rows.length;
        if (known < 0)
          rows.push({
            seq: Number(row.getAttribute('data-seq')),
            tag,
            text: String(row.querySelector('.bubble-text')?.textContent),
          });
      }
      if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) return rows;
      box.scrollTop += box.clientHeight / 2;
    }
  });
}

/** Both windows show what the log has, which is what was written, each message once; and neither has ever shown an error. */
async function expectAllWell(written: readonly string[]): Promise<void> {
  const texts = [...written, ...windows.flatMap(({ said }) => said)];
  // Beside the messages the log has that the windows' users are members.
  const messages = async () => (await cluster.log(room)).filter(({ type }) => type === 'message');
  await eventually(async () => (await messages()).length).toBe(texts.length);
  const log = await cluster.log(room);
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_, i) => i + 1));
  const stored = (await messages()).map(({ seq, tag, data }) => ({ seq, tag, text: data.text ?? '' }));
  expect(stored.map(({ text }) => text).sort()).toEqual(texts.sort());
  for (const window of windows) {
    // In the order in which they were typed.
    expect(stored.map(({ text }) => text).filter(text => window.said.includes(text))).toEqual(window.said);
    await eventually(() => walk(window)).toEqual(stored);
    const { errors, banners } = await window.witness.seen();
    expect(errors).toEqual([]);
    expect(banners.filter(words => !/^(Reconnecting… |Caught up: )/.test(words))).toEqual([]);
    expect(window.complaints).toEqual([]);
  }
}

/** Each was shown to the other as being here from when they came, whatever nodes came and went (24). */
async function expectNobodyLeft(): Promise<void> {
  for (const [i, { witness }] of windows.entries()) {
    const { [i === 0 ? 'Jonas' : 'Mira']: shown = [] } = (await witness.seen()).people;
    expect(shown.slice(shown.indexOf('online'))).toEqual(['online']);
  }
}

vi.setConfig({ testTimeout: 4 * patience, hookTimeout: 2 * patience });

describe('two windows', () => {
  beforeEach(async () => {
    room = `chat:cluster-${++rooms}`;
    windows = await Promise.all((['Mira', 'Jonas'] as const).map(open));
  });
  afterEach(async () => {
    await leave(browser);
  });

  test('a rolling restart under load loses and repeats nothing, and shows no error', async () => {
    const written = await cluster.write(room, 'Writer', 150);
    await talkDuring(async () => {
      for (const node of cluster.nodes.keys()) {
        await cluster.command(`stop node ${node}`); // SIGTERM, and it has ended
        for (const { witness } of windows) await eventually(witness.node).not.toBe(node);
        await cluster.command(`start node ${node}`);
        await cluster.serves(node);
      }
    });
    await expectAllWell(await written());
    for (const window of windows) {
      const { nodes } = await window.witness.seen();
      expect(new Set(nodes).size, `of ${nodes}`).toBeGreaterThanOrEqual(2);
    }
    await expectNobodyLeft();
  });

  test('kill -9 of a node: its clients go on with another', async () => {
    const [mira] = windows as [Window, Window];
    const node = String(await mira.witness.node());
    const written = await cluster.write(room, 'Writer', 150);
    await talkDuring(async () => {
      await cluster.command(`kill node ${node}`);
      await eventually(mira.witness.node).not.toBe(node);
      await cluster.command(`start node ${node}`);
      await cluster.serves(node);
    });
    await expectAllWell(await written());
    await expectNobodyLeft();
  });

  test('without the bus, updates may be late, which is said; with it again, they are not', async () => {
    const [mira, jonas] = windows as [Window, Window];
    const written = await cluster.write(room, 'Writer', 150);
    await talkDuring(async () => {
      await cluster.command('stop redis');
      for (const { signal } of windows) await eventually(() => signal.textContent()).toContain(late);
      // What is written from now on goes through the store.
      const [first, second] = [mira.said.length, jonas.said.length];
      await eventually(async () => mira.said[first] && jonas.said[second]).toBeTruthy();
      await eventually(() => jonas.witness.hasSeen(String(mira.said[first]))).toBe(true);
      await eventually(() => mira.witness.hasSeen(String(jonas.said[second]))).toBe(true);
      await cluster.command('start redis');
      for (const { signal } of windows) await eventually(() => signal.textContent()).toMatch(/^Connected/);
    });
    await expectAllWell(await written());
  });
});

// A client whose network carries no WebSocket: the load balancer leads what it says to every node by turns, and one of them holds its
// stream (SESS-9, PRES-15).

const clients: Client[] = [];

/** What a client said by its session: how it was answered, and by whom. */
const answered: { status: number; node: string | null }[] = [];

/** Somebody who shows that they are there and what they type, over one transport. */
function connect(user: string, transport: TransportName) {
  const client = createClient({
    url: cluster.url,
    transports: [transport],
    WebSocket,
    token: () => cluster.token(user),
    fetch: async (...request) => {
      const answer = await fetch(...request);
      if (String(request[0]).includes('/v1/connections/'))
        answered.push({ status: answer.status, node: answer.headers.get('roomlog-node') });
      return answer;
    },
  });
  clients.push(client);
  const room = client.room('chat:stream');
  room.attach();
  room.presence.others.subscribe(() => {});
  room.typing.who.subscribe(() => {});
  return room;
}

test('who is on a stream types and changes what they show, and none of it is refused', async ({
  onTestFinished,
}) => {
  onTestFinished(async () => void (await Promise.all(clients.map(client => client.close()))));
  const ann = connect('ann', 'sse');
  const bob = connect('bob', 'websocket');
  const shown = async () => bob.presence.others.get().map(({ user, data }) => [user, data]);
  const typing = async () => bob.typing.who.get();
  for (let n = 0; n < 5; n++) {
    ann.presence.set({ n });
    await eventually(shown).toEqual([['ann', { n }]]);
    await eventually(() => {
      ann.typing.keystroke(); // again and again, as who types does: it is shown for six seconds
      return typing();
    }).toEqual(['ann']);
    await ann.messages.send({ text: `said ${n}` });
    await eventually(typing).toEqual([]);
  }
  expect(answered.filter(({ status }) => status >= 300)).toEqual([]);
  expect(new Set(answered.map(({ node }) => node))).toEqual(new Set(cluster.nodes.keys()));
});
