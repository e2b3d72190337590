import { expect, vi } from 'vitest';
import { type Client, createClient, type Room, type SendHandle } from '../src/index.js';
import type { TestGrant } from '../src/testing/index.js';
import { FakeNetwork, type FakeSocket, type Frame } from './fake/socket.js';

type Value = unknown;
type Fields = Record<string, Value>;

export interface Step {
  app?: { connect?: true; attach?: string; detach?: string; send?: AppSend };
  client?: Frame;
  go?: Fields;
  lost?: true;
  raw?: string;
  server?: Frame;
  any_order?: { server: Frame }[];
  drop?: true;
  close?: number;
  expect?: Expectation;
  http?: Request;
}

interface Request {
  as?: string;
  method: string;
  path: string;
  body?: object;
  status: number;
  response: object;
}

interface AppSend {
  room: string;
  as: string;
  type: string;
  data: unknown;
}

interface Expectation {
  status?: string;
  room?: string;
  messages?: string[];
  seq?: number;
  delivery?: Record<string, string>;
  reset?: string;
}

export interface Transcript {
  name: string;
  rules: string[];
  for: string[];
  grants?: TestGrant[];
  steps: Step[];
}

const isFields = (v: Value): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);

const PATTERNS: Record<string, RegExp> = {
  $epoch: /^[A-Za-z0-9_-]{1,32}$/,
  $position: /^[A-Za-z0-9_-]{1,32}:\d+(:[0-9a-f]{8})?$/,
  $time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
  $uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
};

/** The values of a transcript's `$names`, matched or made. */
export class Names {
  #kept = new Map<string, Value>();
  #ids = 0;
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  /** Asserts that `got` matches; what it names is kept. */
  match(want: Value, got: Value, path = ''): void {
    if (typeof want === 'string' && want.startsWith('$') && !want.startsWith('${')) {
      this.#matchName(want, got, path);
    } else if (Array.isArray(want)) {
      expect(got, path).toHaveLength(want.length);
      want.forEach((item, i) => {
        this.match(item, (got as Value[])[i], `${path}[${i}]`);
      });
    } else if (isFields(want)) {
      expect(isFields(got), `${path} is an object`).toBe(true);
      for (const [key, value] of Object.entries(want))
        this.match(value, (got as Fields)[key], `${path}.${key}`);
    } else {
      expect(got, path).toEqual(typeof want === 'string' ? this.#fill(want) : want);
    }
  }

  /** As `match`, without an exception: where it does not match, nothing is kept. */
  matches(want: Value, got: Value): boolean {
    const before = new Map(this.#kept);
    try {
      this.match(want, got);
      return true;
    } catch {
      this.#kept = before;
      return false;
    }
  }

  #matchName(name: string, got: Value, path: string): void {
    if (name === '$absent') expect(got, path).toBeUndefined();
    else if (name === '$token') expect(got, path).toBe(this.#token);
    else if (name === '$any') expect(got, path).toBeDefined();
    else if (PATTERNS[name]) expect(got, path).toMatch(PATTERNS[name]);
    else if (this.#kept.has(name)) expect(got, path).toEqual(this.#kept.get(name));
    else {
      expect(got, path).toBeDefined();
      this.#kept.set(name, got);
    }
  }

  /** Writes a frame, making what is not known yet. */
  make(value: Value, field = '', around: Fields = {}): Value {
    if (typeof value === 'string' && value.startsWith('$') && !value.startsWith('${')) {
      return this.#makeName(value, field, around);
    }
    if (Array.isArray(value)) return value.map(item => this.make(item, field, around));
    if (!isFields(value)) return typeof value === 'string' ? this.#fill(value) : value;
    const made: Fields = {};
    const context = 'epoch' in value ? { epoch: this.make(value.epoch, 'epoch') } : { epoch: around.epoch };
    for (const [key, item] of Object.entries(value)) {
      const filled = this.make(item, key, { ...value, ...context });
      if (item !== '$absent') made[key] = filled;
    }
    return made;
  }

  #makeName(name: string, field: string, around: Fields): Value {
    if (name === '$absent') return undefined;
    if (name === '$any') return 'any';
    if (name === '$token') return this.#token;
    if (name === '$epoch') return 'k3f9';
    if (name === '$time') return '2026-11-23T10:00:00.000000Z';
    if (name === '$uuid') return crypto.randomUUID();
    if (!this.#kept.has(name)) this.#kept.set(name, this.#fresh(name, field, around));
    return this.#kept.get(name);
  }

  #fresh(name: string, field: string, around: Fields): Value {
    if (field === 'id') return ++this.#ids;
    if (field === 'tag') return crypto.randomUUID();
    if (field === 'epoch') return name.slice(1);
    const seq = Number(around.seq);
    if (field !== 'position') throw new Error(`${name}: nothing is known of how to make a ${field}`);
    return `${around.epoch}:${seq}${seq === 0 ? '' : `:${(seq + 1).toString(16).padStart(8, '0')}`}`;
  }

  #fill(text: string): string {
    return text.replace(/\$\{(\w+)\}/g, (_, name: string) => String(this.#kept.get(`$${name}`)));
  }
}

/** Plays the server of one transcript against the real client, on fake timers. */
export class Replay {
  readonly #network = new FakeNetwork();
  readonly #client: Client;
  readonly #names = new Names('the-token');
  readonly #queue: Frame[] = [];
  readonly #sends = new Map<string, SendHandle<unknown>>();
  readonly #detach = new Map<string, () => void>();
  readonly #resets = new Map<string, string>();
  readonly #pagesFirst: boolean;

  constructor(pagesFirst: boolean) {
    this.#pagesFirst = pagesFirst;
    this.#network.onDial = socket => {
      const send = socket.send.bind(socket);
      socket.send = text => {
        send(text);
        this.#queue.push(JSON.parse(text) as Frame);
      };
      setTimeout(() => socket.readyState === 0 && socket.accept());
    };
    const { WebSocket } = this.#network;
    this.#client = createClient({ url: 'http://localhost:1', token: 'the-token', WebSocket });
  }

  async run({ steps }: Transcript): Promise<void> {
    for (const step of steps) {
      await this.#step(step);
      await vi.advanceTimersByTimeAsync(0);
    }
    const settled = new Set(this.#client.status.get().pendingSends === 0 ? this.#tags() : []);
    const left = this.#queue.filter(
      frame =>
        !['ping', 'pong'].includes(frame.op) && !(frame.op === 'send' && settled.has(String(frame.tag))),
    );
    expect(left, 'frames that the transcript does not have').toEqual([]);
    await this.#client.close();
  }

  #tags(): string[] {
    return [...this.#sends.values()].map(handle => handle.tag);
  }

  async #step(step: Step): Promise<void> {
    if (step.app) this.#app(step.app);
    else if (step.client) this.#names.match(step.client, await this.#next(step.client));
    else if (step.server) this.#say(step.server);
    else if (step.any_order) this.#sayAll(step.any_order.map(({ server }) => server));
    else if (step.drop) this.#socket.end(1006);
    else if (step.close !== undefined) this.#socket.end(step.close);
    else if (step.expect) this.#expect(step.expect);
    else if (!step.http) throw new Error(`unknown step ${JSON.stringify(step)}`);
  }

  get #socket(): FakeSocket {
    return this.#network.last;
  }

  #app({ connect, attach, detach, send }: NonNullable<Step['app']>): void {
    if (connect) void this.#client.connect();
    if (attach) {
      const room = this.#client.room(attach);
      room.on('reset', reset => this.#resets.set(attach, reset.reason));
      this.#detach.set(attach, room.attach());
    }
    if (detach) this.#detach.get(detach)?.();
    if (!send) return;
    const { messages } = this.#client.room<unknown>(send.room);
    this.#sends.set(send.as, messages.send(send.data, { type: send.type }));
  }

  /** The client's next frame of this op and room; time passes until there is one. */
  async #next(want: Frame): Promise<Frame> {
    for (let waited = 0; waited <= 30_000; waited += 10) {
      const index = this.#queue.findIndex(
        frame => frame.op === want.op && (want.room === undefined || frame.room === want.room),
      );
      if (index >= 0) return this.#queue.splice(index, 1)[0] as Frame;
      await vi.advanceTimersByTimeAsync(10);
    }
    throw new Error(`the client never sent ${JSON.stringify(want)}; it sent ${JSON.stringify(this.#queue)}`);
  }

  #say(frame: Frame): void {
    this.#socket.say(this.#names.make(frame) as object);
  }

  #sayAll(frames: Frame[]): void {
    const pages = frames.filter(frame => frame.op === 'page');
    const others = frames.filter(frame => frame.op !== 'page');
    for (const frame of this.#pagesFirst ? [...pages, ...others] : frames) this.#say(frame);
  }

  #expect(want: Expectation): void {
    if (want.status) expect(this.#client.status.get().state).toBe(want.status);
    if (!want.room) return;
    const room: Room<{ text?: string }> = this.#client.room(want.room);
    const list = room.messages.list.get();
    if (want.messages) expect(list.map(message => message.data.text)).toEqual(want.messages);
    if (want.seq !== undefined) expect(room.status.get().seq).toBe(want.seq);
    if (want.reset) expect(this.#resets.get(want.room)).toBe(want.reset);
    for (const [as, delivery] of Object.entries(want.delivery ?? {})) {
      const message = list.find(({ tag }) => tag === this.#sends.get(as)?.tag);
      expect(message?.delivery, `delivery of ${as}`).toBe(delivery);
    }
  }
}
