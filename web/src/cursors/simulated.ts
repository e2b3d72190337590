import { devToken } from '../guest/devapi.ts';
import type { Point } from './track.ts';

/** One update each so many milliseconds: 20 a second. */
const everyMs = 50;

/**
 * A person who moves a pointer and sees nothing: a user and a connection of their own, that join without asking for any
 * side of the room. A whole client would hear what the other simulated people do, thirty times over in one page.
 */
export class SimulatedPerson {
  readonly #index: number;
  readonly #room: string;
  readonly #left = new AbortController();
  #socket: WebSocket | undefined;
  #moving: ReturnType<typeof setInterval> | undefined;
  #said = '';

  /**
   * Lets one in.
   * @param guest whose crowd it is; two windows may have one each
   * @param index which one of the crowd, from 0
   */
  constructor(guest: string, index: number, room: string) {
    this.#index = index;
    this.#room = room;
    const name = `${guest} #${index + 1}`;
    devToken(name, this.#left.signal).then(
      ({ token }) => this.#connect(token),
      () => {}, // left meanwhile, or the server is away: one fewer
    );
  }

  /** Takes them out again. */
  leave(): void {
    this.#left.abort();
    this.#end();
    this.#socket?.close();
  }

  #connect(token: string): void {
    if (this.#left.signal.aborted) return;
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/ws`);
    this.#socket = socket;
    socket.onopen = () => this.#say({ op: 'hello', token });
    socket.onmessage = ({ data }) => this.#take(JSON.parse(String(data)) as { op: string });
    socket.onclose = () => this.#end();
  }

  #take({ op }: { op: string }): void {
    if (op === 'ping') this.#say({ op: 'pong' });
    if (op === 'welcome') this.#say({ op: 'join', id: 1, room: this.#room, limit: 1, present: true });
    if (op === 'joined') this.#moving ??= setInterval(() => this.#move(), everyMs);
  }

  #move(): void {
    const { x, y } = wander(this.#index, performance.now() / 1_000);
    const data = { x: Number(x.toFixed(4)), y: Number(y.toFixed(4)) };
    const said = JSON.stringify(data);
    if (said === this.#said) return; // at rest
    this.#said = said;
    this.#say({ op: 'signal', room: this.#room, type: 'cursor', data });
  }

  #end(): void {
    clearInterval(this.#moving);
  }

  #say(frame: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }
}

/** Where one of the crowd is: on a winding way of their own. Every sixth stands still after a while. */
function wander(index: number, seconds: number): Point {
  const own = index * 2.399963; // the golden angle: no two go alike
  const t = own + seconds * (0.35 + 0.3 * Math.abs(Math.sin(own)));
  const rest = index % 6 === 5 ? Math.floor(t) : t;
  return {
    x: 0.5 + 0.4 * Math.sin(rest * 0.9 + own) + 0.08 * Math.sin(rest * 2.7),
    y: 0.5 + 0.38 * Math.cos(rest * 0.7 + own * 1.3) + 0.08 * Math.sin(rest * 3.1 + own),
  };
}
