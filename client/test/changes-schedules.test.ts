import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient, type Message } from '../src/index.js';
import { FakeNetwork, type FakeSocket, tagOf } from './fake/socket.js';

await import('../src/client/view.js');

// A room with messages, edits, reactions and deletes in any order, seen through any window: joined anywhere, in pages of any size, with older
// pages read as present content at any time. The list is always what folding the whole log gives.

const AT = '2026-11-23T10:00:00.123456Z';
const USERS = ['u1', 'u2', 'u3'];
const EMOJI = ['👍', '🎉', '__proto__'];

interface Wire {
  room: string;
  seq: number;
  type: string;
  author: string;
  tag: string;
  at: string;
  data: unknown;
  target?: number;
}
interface Row {
  seq: number;
  text: string;
  edited: number | undefined;
  reactions: { emoji: string; users: string[] }[];
}

/** What the whole log comes to: straight from the rules (CHG-5 to CHG-7), for each message by itself. */
function model(log: readonly Wire[]): Row[] {
  return log.flatMap(message => {
    if (message.type !== 'message') return [];
    const changes = log.filter(({ target }) => target === message.seq);
    if (changes.some(({ type }) => type === 'delete')) return [];
    const last = changes.filter(({ type }) => type === 'edit').at(-1);
    const data = (last ? (last.data as { data: unknown }).data : message.data) as { text: string };
    const reactions = EMOJI.map(emoji => {
      const of = changes.filter(c => c.type === 'reaction' && (c.data as { emoji: string }).emoji === emoji);
      const has = (user: string) => {
        const latest = of.filter(({ author }) => author === user).at(-1);
        return latest !== undefined && !(latest.data as { remove?: true }).remove;
      };
      return { emoji, users: USERS.filter(has) };
    });
    return [{ seq: message.seq, text: data.text, edited: last?.seq, reactions: sorted(reactions) }];
  });
}

/** Without the order in which reactions came. */
const sorted = (reactions: readonly { emoji: string; users: readonly string[] }[]) =>
  reactions
    .filter(({ users }) => users.length > 0)
    .map(({ emoji, users }) => ({ emoji, users: [...users].sort() }))
    .sort((a, b) => EMOJI.indexOf(a.emoji) - EMOJI.indexOf(b.emoji));

const rowOf = ({ seq, data, edited, reactions }: Message): Row => {
  for (const { users, count, mine } of reactions) {
    expect(count).toBe(users.length);
    expect(mine).toBe(users.includes('u1'));
  }
  return {
    seq: Number(seq),
    text: data.text,
    edited: edited?.seq ?? undefined,
    reactions: sorted(reactions),
  };
};

/** A page read before a seq (CHG-9): present content as of `head`. */
function presentPage(log: readonly Wire[], head: number, before: number, limit: number) {
  const known = log.slice(0, head);
  const rows = new Map(model(known).map(row => [row.seq, row]));
  const seq = before - 1;
  const prev = Math.max(0, seq - limit);
  const events = known.slice(prev, seq).map(event => {
    const row = rows.get(event.seq);
    const isGone = event.type === 'message' && !row;
    if (isGone) return { ...event, data: null, deleted: { seq: 1, by: 'u2', at: AT } };
    if (!row) return event;
    const reactions = row.reactions.map(each => ({ ...each, count: each.users.length }));
    const edited = row.edited && { seq: row.edited, at: AT };
    return {
      ...event,
      data: { text: row.text },
      ...(edited && { edited }),
      ...(reactions[0] && { reactions }),
    };
  });
  return { epoch: 'e', floor: 1, head, prev, seq, position: `e:${seq}`, events };
}

const step = fc.record({
  kind: fc.constantFrom('message', 'message', 'edit', 'reaction', 'reaction', 'reaction', 'delete', 'vote'),
  author: fc.constantFrom(...USERS),
  target: fc.nat(),
  emoji: fc.constantFrom(...EMOJI),
  remove: fc.boolean(),
});

function logOf(steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Wire[] {
  const log: Wire[] = [];
  for (const { kind, author, target: n, emoji, remove } of steps) {
    const seq = log.length + 1;
    const there = model(log);
    const target = there[n % Math.max(1, there.length)]?.seq;
    const event = { room: 'chat:a', seq, author, tag: tagOf(seq), at: AT };
    if (kind === 'vote') log.push({ ...event, type: kind, data: { target } });
    else if (kind === 'message' || target === undefined) {
      log.push({ ...event, type: 'message', data: { text: `m${seq}` } });
    } else {
      const data = { target, ...(kind === 'edit' && { data: { text: `e${seq}` } }) };
      const reaction = kind === 'reaction' && { emoji, ...(remove && { remove: true }) };
      log.push({ ...event, type: kind, target, data: { ...data, ...reaction } });
    }
  }
  return log;
}

const schedule = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 60 }),
  join: fc.nat({ max: 60 }),
  pages: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 30 }),
  /** After so many pages an older one is read, by a node that lags so far behind. */
  older: fc.array(
    fc.record({ after: fc.nat({ max: 8 }), limit: fc.integer({ min: 1, max: 20 }), lag: fc.nat({ max: 6 }) }),
    {
      maxLength: 5,
    },
  ),
});

async function run({ steps, join, pages, older }: typeof schedule extends fc.Arbitrary<infer S> ? S : never) {
  const log = logOf(steps);
  const network = new FakeNetwork();
  let answer: object = {};
  const fetch = (async () => Response.json(answer)) as typeof globalThis.fetch;
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket, fetch });
  const room = client.room('chat:a');
  room.attach();
  await vi.advanceTimersByTimeAsync(0);
  const socket: FakeSocket = network.last.welcome();
  const start = Math.min(join, log.length);
  const span = (prev: number, seq: number) => ({
    prev,
    seq,
    position: `e:${seq}`,
    events: log.slice(prev, seq),
  });
  let end = Math.min(log.length, start + 5);
  socket.say({
    op: 'joined',
    id: socket.take('join').id,
    room: 'chat:a',
    epoch: 'e',
    floor: 1,
    head: end,
    page: span(start, end),
  });
  let base = start;
  /** The head of the last answer: a node may lag behind what the client was given, but the store does not go back. */
  let asked = end;
  const check = () => {
    // What the client was given is what counts, not what has happened since.
    const seen = model(log.slice(0, end)).filter(({ seq }) => seq > base);
    expect(room.messages.list.get().map(rowOf)).toEqual(seen);
  };
  check();
  for (let i = 0; i <= pages.length; i++) {
    for (const { limit, lag } of older.filter(({ after }) => after === i)) {
      if (base === 0) continue;
      const page = presentPage(log, Math.max(asked, end - lag), base + 1, limit);
      asked = page.head;
      answer = page;
      await room.messages.loadOlder(limit);
      base = page.prev;
      check();
    }
    const size = pages[i];
    if (size === undefined || end === log.length) continue;
    const seq = Math.min(log.length, end + size);
    socket.say({ op: 'page', room: 'chat:a', epoch: 'e', ...span(end, seq) });
    end = seq;
    check();
  }
  await client.close();
}

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 150);

describe(`random schedules of changes, ROOMLOG_SEED=${seed}`, () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('any window, however it came, is that part of the whole log folded', async () => {
    await fc.assert(fc.asyncProperty(schedule, run), { seed, numRuns: runs });
  });
});
