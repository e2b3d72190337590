import type { WebSocketConstructor, WebSocketLike } from '../../src/index.js';

export type Frame = Record<string, unknown> & { op: string };

/** A socket whose other end is the test. */
export class FakeSocket implements WebSocketLike {
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  /** What the client has sent and nobody has taken. */
  readonly sent: Frame[] = [];
  closedByClient: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: unknown,
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Frame);
  }

  close(code?: number): void {
    this.readyState = 3;
    this.closedByClient ??= code ?? 1005;
  }

  /** The handshake is done. */
  accept(): this {
    this.readyState = 1;
    (this.onopen as (() => void) | null)?.();
    return this;
  }

  /** The server says something. */
  say(frame: object | string): this {
    const data = typeof frame === 'string' ? frame : JSON.stringify(frame);
    if (this.readyState === 1) (this.onmessage as ((e: object) => void) | null)?.({ data });
    return this;
  }

  /** The socket ends, from the other side. */
  end(code = 1006, reason = ''): void {
    this.readyState = 3;
    (this.onclose as ((e: object) => void) | null)?.({ code, reason });
  }

  /** Takes the first frame with this op. */
  take(op: string): Frame {
    const index = this.sent.findIndex(frame => frame.op === op);
    if (index < 0) throw new Error(`no ${op} among ${JSON.stringify(this.sent)}`);
    return this.sent.splice(index, 1)[0] as Frame;
  }

  /** Accepts, takes the hello and welcomes. */
  welcome(fields: object = {}): this {
    this.accept().take('hello');
    return this.say({ ...WELCOME, ...fields });
  }
}

export const WELCOME = {
  op: 'welcome',
  connection: 'c',
  user: 'u1',
  ping_ms: 10_000,
  version: 1,
  limits: {},
};

/** Every socket that a client has opened, in order. */
export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];
  onDial: (socket: FakeSocket) => void = () => {};
  readonly WebSocket: WebSocketConstructor;

  constructor() {
    const network = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols?: unknown) {
        super(url, protocols);
        network.sockets.push(this);
        network.onDial(this);
      }
    };
  }

  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('nobody has dialled');
    return socket;
  }
}

/** A tag that is a UUID, for test number n. */
export const tagOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** An event whose text is `m` and its seq. */
export function event(seq: number, fields: object = {}): object {
  return {
    room: 'chat:a',
    seq,
    type: 'message',
    author: 'u2',
    tag: tagOf(seq),
    at: '2026-11-23T10:00:00.123456Z',
    data: { text: `m${seq}` },
    ...fields,
  };
}

/** The part that every page has, with events `(prev, seq]`. */
export function span(prev: number, seq: number, epoch = 'e'): object {
  const events = Array.from({ length: seq - prev }, (_, i) => event(prev + 1 + i));
  return { prev, seq, position: `${epoch}:${seq}`, events };
}

export function joined(id: unknown, prev: number, seq: number, fields: object = {}): object {
  return {
    op: 'joined',
    id,
    room: 'chat:a',
    epoch: 'e',
    floor: 1,
    head: seq,
    page: span(prev, seq),
    ...fields,
  };
}

export function page(prev: number, seq: number, epoch = 'e'): object {
  return { op: 'page', room: 'chat:a', epoch, ...span(prev, seq, epoch) };
}

export function ack(send: Frame, seq: number, fields: object = {}): object {
  const { id, room, tag } = send;
  return {
    op: 'ack',
    id,
    room,
    seq,
    epoch: 'e',
    at: '2026-11-23T10:00:00.123456Z',
    tag,
    duplicate: false,
    ...fields,
  };
}

export function refusal(to: Frame, code: string, retryable: boolean, fields: object = {}): object {
  return {
    op: 'error',
    id: to.id,
    room: to.room,
    tag: to.tag,
    code,
    title: `It is ${code}.`,
    retryable,
    ...fields,
  };
}
