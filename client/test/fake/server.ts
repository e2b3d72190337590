import type { FakeNetwork, FakeSocket, Frame } from './socket.js';

interface Stored {
  room: string;
  seq: number;
  type: string;
  author: string;
  tag: string;
  at: string;
  data: unknown;
}

/** What happens to a send that the server takes next. */
export type Verdict = 'rate_limited' | 'unknown-stored' | 'unknown-lost';

/** What happens to a page that the server gives next. */
export type PageFault = 'lost' | 'twice' | 'with the one before';

/**
 * One room on a server that keeps the protocol, with faults on demand. Each connection has its own latency; what has
 * arrived on a connection is worked off even after the connection has ended.
 */
export class FakeServer {
  epoch = 'e1';
  readonly log: Stored[] = [];
  /** Faults for what comes next, taken one by one. */
  readonly verdicts: Verdict[] = [];
  readonly pageFaults: PageFault[] = [];
  latency = 5;
  /** Nothing passes: new dials hang, and a connection that lost something is mute for ever, OPEN as it looks. */
  blackHole = false;
  pageSize = 100;
  /** Told of every stored event and restore: what follows the log other than by a socket. */
  readonly watchers = new Set<() => void>();

  readonly #connections = new Set<ServerEnd>();

  constructor(network: FakeNetwork) {
    network.onDial = socket => this.#dialled(socket);
  }

  get head(): number {
    return this.log.length;
  }

  /** Ends every connection without a close frame. */
  drop(code = 1006): void {
    for (const end of [...this.#connections]) end.cut(code);
  }

  /** Stores an event, or finds it by its tag. */
  append(author: string, tag: string, data: unknown): { seq: number; duplicate: boolean } {
    const before = this.log.find(e => e.author === author && e.tag === tag);
    if (before) return { seq: before.seq, duplicate: true };
    const seq = this.head + 1;
    const at = '2026-11-23T10:00:00.123456Z';
    this.log.push({ room: 'chat:a', seq, type: 'message', author, tag, at, data });
    for (const end of this.#connections) end.grown();
    for (const watcher of this.watchers) watcher();
    return { seq, duplicate: false };
  }

  /** The store is restored from a backup that lacks the newest events: another numbering. */
  restore(lost: number): void {
    this.log.splice(Math.max(0, this.head - lost));
    this.epoch = `e${Number(this.epoch.slice(1)) + 1}`;
    for (const end of this.#connections) end.reset();
    for (const watcher of this.watchers) watcher();
  }

  #dialled(socket: FakeSocket): void {
    const end: ServerEnd = new ServerEnd(this, socket, () => this.#connections.delete(end));
    this.#connections.add(end);
  }
}

/** The server's end of one connection. */
class ServerEnd {
  readonly #server: FakeServer;
  readonly #socket: FakeSocket;
  readonly #gone: () => void;
  #open = true;
  #mute = false;
  #nextN = 1;
  #cursor: number | undefined;
  #inAt = 0;
  #outAt = 0;
  #before: object | undefined;

  constructor(server: FakeServer, socket: FakeSocket, gone: () => void) {
    this.#server = server;
    this.#socket = socket;
    this.#gone = gone;
    socket.send = text => this.#in(() => this.#take(JSON.parse(text) as Frame));
    const close = socket.close.bind(socket);
    socket.close = code => {
      close(code);
      this.#end();
    };
    this.#out(() => socket.readyState === 0 && socket.accept());
  }

  cut(code: number): void {
    if (this.#open) this.#socket.end(code);
    this.#end();
  }

  #end(): void {
    this.#open = false;
    this.#gone();
  }

  #swallowed(): boolean {
    this.#mute ||= this.#server.blackHole;
    return this.#mute;
  }

  /** In order, each after the latency of its moment; mute connections lose it. */
  #in(then: () => void): void {
    if (!this.#open || this.#swallowed()) return;
    this.#inAt = Math.max(this.#inAt, Date.now() + this.#server.latency);
    setTimeout(then, this.#inAt - Date.now());
  }

  #out(then: () => void): void {
    this.#outAt = Math.max(this.#outAt, Date.now() + this.#server.latency);
    setTimeout(() => this.#open && !this.#swallowed() && then(), this.#outAt - Date.now());
  }

  #say(frame: object): void {
    const text = JSON.stringify(frame);
    this.#out(() => this.#socket.say(text));
  }

  #take(frame: Frame): void {
    if (frame.op === 'hello') this.#say({ op: 'welcome', user: 'u1', ping_ms: 10_000, limits: {} });
    else if (frame.op === 'ping') this.#say({ op: 'pong' });
    else if (frame.op === 'join') this.#join(frame);
    else if (frame.op === 'send') this.#send(frame);
    else if (frame.op === 'leave') this.#cursor = undefined;
  }

  #span(prev: number, seq: number): object {
    const { epoch, log } = this.#server;
    return { prev, seq, position: `${epoch}:${seq}`, events: log.slice(prev, seq) };
  }

  #join({ id, position }: Frame): void {
    const { epoch, head, pageSize } = this.#server;
    const [named, seq] = String(position).split(':');
    const fresh = Math.max(0, head - pageSize);
    const known = named === epoch && Number(seq) <= head;
    const prev = position === '0' ? 0 : position === undefined || !known ? fresh : Number(seq);
    const reason = position === undefined || position === '0' || known ? undefined : 'epoch';
    this.#cursor = Math.min(head, prev + pageSize);
    this.#say({
      op: 'joined',
      id,
      room: 'chat:a',
      epoch,
      floor: 1,
      head,
      page: this.#span(prev, this.#cursor),
      ...(reason && { reset: { reason } }),
    });
    this.grown();
  }

  #send({ id, n, tag, data, room }: Frame): void {
    const refuse = (code: string) =>
      this.#say({ op: 'error', id, room, tag, code, title: code, retryable: true, retry_after_ms: 20 });
    if (Number(n) > this.#nextN) {
      refuse('out_of_order');
      return;
    }
    const again = Number(n) < this.#nextN;
    const verdict = again ? undefined : this.#server.verdicts.shift();
    if (verdict === 'unknown-stored') this.#server.append('u1', String(tag), data);
    if (verdict) {
      refuse(verdict === 'rate_limited' ? verdict : 'outcome_unknown');
      return;
    }
    if (!again) this.#nextN++;
    const { epoch } = this.#server;
    const stored = this.#server.append('u1', String(tag), data);
    this.#say({ op: 'ack', id, room, tag, epoch, at: '2026-11-23T10:00:00.123456Z', ...stored });
  }

  /** The room has grown, or may have: whatever is behind the cursor follows as pages. */
  grown(): void {
    while (this.#cursor !== undefined && this.#cursor < this.#server.head) {
      const frame = {
        op: 'page',
        room: 'chat:a',
        epoch: this.#server.epoch,
        ...this.#span(this.#cursor, this.#cursor + 1),
      };
      this.#cursor++;
      const fault = this.#server.pageFaults.shift();
      if (fault === 'with the one before' && this.#cursor > 1) {
        this.#say({ ...frame, ...this.#span(this.#cursor - 2, this.#cursor) });
      } else if (fault !== 'lost') {
        this.#say(frame);
      }
      if (fault === 'twice') this.#say(this.#before ?? frame);
      this.#before = frame;
    }
  }

  reset(): void {
    if (this.#cursor === undefined) return;
    this.#cursor = undefined;
    this.#before = undefined;
    const { epoch, head } = this.#server;
    this.#say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch, floor: 1, head });
  }
}
