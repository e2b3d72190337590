import { createTestServer, type TestEvent } from '../../src/testing/index.js';
import type { FakeNetwork, FakeSocket, Frame } from './socket.js';

/** What happens to a send that the server takes next. */
export type Verdict = 'rate_limited' | 'unknown-stored' | 'unknown-lost';

/** What happens to a page that the server gives next. */
export type PageFault = 'lost' | 'twice' | 'with the one before';

const ROOM = 'chat:a';

/**
 * The server of `roomlog/testing` behind the sockets of a FakeNetwork, so that a test can take single dials into its own
 * hands; with short words for one room, and faults on demand.
 */
export class FakeServer {
  readonly test = createTestServer();
  /** Faults of pages to come, taken one by one. */
  readonly pageFaults: PageFault[] = [];
  #before: Frame | undefined;

  constructor(network: FakeNetwork) {
    network.onDial = socket => this.#plug(socket);
    this.heal();
  }

  get log(): readonly TestEvent[] {
    return this.test.log(ROOM);
  }

  get head(): number {
    return this.log.length;
  }

  /** The position behind the newest event. */
  get position(): string {
    return this.test.position(ROOM);
  }

  set latency(ms: number) {
    this.test.network.delay(ms);
  }

  /** What the next sends are answered. */
  judge(verdict: Verdict, times = 1): void {
    if (verdict === 'rate_limited') this.test.refuse({ code: verdict, retryAfterMs: 20 }, times);
    else this.test.refuse({ code: 'outcome_unknown', stored: verdict === 'unknown-stored' }, times);
  }

  /** Ends the black hole. */
  heal(): void {
    this.test.network.restore();
    this.latency = 5;
    this.test.network.tamper(frame => (frame.op === 'page' ? this.#fault(frame) : [frame]));
  }

  /** Ends every fault, also those that were to come. */
  calm(): void {
    this.heal();
    this.test.accept();
    this.pageFaults.length = 0;
  }

  append(author: string, tag: string, data: unknown): void {
    this.test.append(ROOM, { author, tag, data });
  }

  /** The store is restored from a backup that lacks the newest events: another numbering. */
  restore(lost: number): void {
    this.test.reset(ROOM, { lost });
  }

  /** What the client says goes to the server and back, until the test takes the socket over. */
  #plug(socket: FakeSocket): void {
    const end = new this.test.WebSocket(socket.url);
    socket.send = text => end.send(text);
    const close = socket.close.bind(socket);
    socket.close = code => {
      close(code);
      end.close();
    };
    end.onopen = () => socket.readyState === 0 && socket.accept();
    end.onmessage = ({ data }: { data: string }) => socket.say(data);
    end.onclose = ({ code, reason }: { code: number; reason: string }) => socket.end(code, reason);
  }

  #fault(frame: Frame): Frame[] {
    const before = this.#before;
    const fault = this.pageFaults.shift();
    this.#before = frame;
    if (fault === 'lost') return [];
    if (fault === 'twice') return [frame, before ?? frame];
    if (fault === undefined || !before || before.seq !== frame.prev) return [frame];
    const events = [...(before.events as unknown[]), ...(frame.events as unknown[])];
    return [{ ...frame, prev: before.prev, events }];
  }
}
