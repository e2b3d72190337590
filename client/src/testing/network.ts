import type { WebSocketConstructor, WebSocketLike } from '../transport/socket.js';
import type { Hub } from './hub.js';
import { type Frame, Peer, type PeerHost } from './peer.js';

/** What carries something, and can be cut. */
export interface Line {
  cut(): void;
}

/** The network as the transports see it. */
export interface Weather {
  readonly isOffline: boolean;
  readonly isHole: boolean;
  blocks(what: TestBlockable): boolean;
  delayMs(): number;
  readonly lines: Set<Line>;
  tamper: TestTamper | undefined;
  loses(): boolean;
}

/** What something in between can be in the way of: the upgrade of a WebSocket, or streams, which it holds back. */
export type TestBlockable = 'websocket' | 'sse';

/** Puts other frames in the place of one that the server says over a WebSocket: none, one or several. */
export type TestTamper = (frame: Frame) => readonly object[];

/** Carries things in their order, each after the delay of its moment. Without a delay they arrive in a microtask. */
export class Lane {
  readonly #queue: (() => void)[] = [];
  #at = 0;
  /** How many of them come in microtasks. */
  #micro = 0;

  carry(ms: number, arrive: () => void): void {
    const now = performance.now();
    const isFree = this.#queue.length === 0;
    this.#queue.push(arrive);
    this.#at = Math.max(this.#at, now + ms);
    const next = () => this.#queue.shift()?.();
    // Behind a microtask comes a microtask, behind a timer a timer.
    if (this.#at <= now && (isFree || this.#micro > 0)) {
      this.#micro++;
      queueMicrotask(() => {
        this.#micro--;
        next();
      });
    } else setTimeout(next, this.#at - now);
  }
}

/** The client's end of a connection over the network. */
class TestSocket implements WebSocketLike {
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly #wire: Wire;

  constructor(hub: Hub, weather: Weather) {
    this.#wire = new Wire(this, hub, weather);
  }

  send(text: string): void {
    if (this.readyState === 1) this.#wire.fromClient(text);
  }

  close(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#wire.closedByClient();
  }

  opened(): void {
    this.readyState = 1;
    (this.onopen as (() => void) | null)?.();
  }

  message(data: string): void {
    (this.onmessage as ((event: { data: string }) => void) | null)?.({ data });
  }

  ended(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    (this.onclose as ((event: { code: number; reason: string }) => void) | null)?.({ code, reason });
  }
}

/** What is between a socket and its peer. What was lost in a black hole makes it mute for ever, open as it looks. */
class Wire implements Line, PeerHost {
  readonly #socket: TestSocket;
  readonly #weather: Weather;
  readonly #peer: Peer;
  readonly #in = new Lane();
  readonly #out = new Lane();
  #mute = false;

  constructor(socket: TestSocket, hub: Hub, weather: Weather) {
    this.#socket = socket;
    this.#weather = weather;
    this.#peer = new Peer(hub, this);
    weather.lines.add(this);
    if (weather.isOffline || weather.blocks('websocket')) queueMicrotask(() => this.cut());
    else this.#arrives(() => socket.opened());
  }

  #swallows(): boolean {
    this.#mute ||= this.#weather.isHole;
    return this.#mute;
  }

  #arrives(then: () => void): void {
    this.#out.carry(this.#weather.delayMs(), () => {
      if (this.#socket.readyState !== 3 && !this.#swallows()) then();
    });
  }

  fromClient(text: string): void {
    if (!this.#swallows()) this.#in.carry(this.#weather.delayMs(), () => this.#peer.take(text));
  }

  closedByClient(): void {
    this.#weather.lines.delete(this);
    if (!this.#swallows()) this.#in.carry(this.#weather.delayMs(), () => this.#peer.gone());
  }

  say(frame: Frame): void {
    for (const each of this.#weather.tamper?.(frame) ?? [frame]) {
      const text = JSON.stringify(each);
      this.#arrives(() => this.#socket.message(text));
    }
  }

  close(code: number, reason: string): void {
    this.#weather.lines.delete(this);
    this.#arrives(() => this.#socket.ended(code, reason));
  }

  taking(): void {
    if (this.#weather.loses()) this.cut();
  }

  cut(): void {
    this.#weather.lines.delete(this);
    this.#peer.gone();
    this.#socket.ended(1006, '');
  }
}

/** A WebSocket class whose sockets end at the hub, whatever their address. */
export function socketClass(hub: Hub, weather: Weather): WebSocketConstructor {
  return class extends TestSocket {
    constructor(_url: string, _protocols?: string | string[]) {
      super(hub, weather);
    }
  };
}

/** What is between the clients and the server, to be made worse. Sockets and requests alike. */
export class TestNetwork {
  readonly #weather: Weather & { isOffline: boolean; isHole: boolean };
  readonly #blocked = new Set<TestBlockable>();
  #losses = 0;
  #delay: () => number = () => 0;
  #onLine: PropertyDescriptor | undefined;

  /** For `createTestServer`, which makes it. */
  constructor() {
    this.#weather = {
      isOffline: false,
      isHole: false,
      blocks: what => this.#blocked.has(what),
      delayMs: () => this.#delay(),
      lines: new Set(),
      tamper: undefined,
      loses: () => this.#losses > 0 && this.#losses-- > 0,
    };
  }

  /** For `createTestServer`: what the transports go by. */
  get weather(): Weather {
    return this.#weather;
  }

  /** Cuts every connection, stream and request there is, without a word. The next ones get through. */
  cut(): void {
    for (const line of [...this.#weather.lines]) line.cut();
  }

  /**
   * From now on nothing passes and nobody is told: new connections hang, and those that lose something stay mute when
   * it is over, as behind a router that has forgotten them.
   */
  blackhole(): void {
    this.#weather.isHole = true;
  }

  /** The device loses its network: everything is cut, dials fail at once, and a browser's `navigator.onLine` is false. */
  offline(): void {
    this.#weather.isOffline = true;
    this.#tellDevice(false);
    this.cut();
  }

  /** Something in between gets in the way of WebSockets or of streams, those that are open too. */
  block(...what: TestBlockable[]): void {
    for (const each of what) this.#blocked.add(each);
    this.cut();
  }

  /** Everything takes so long each way, in milliseconds; a function is asked each time. What is sent first arrives first. */
  delay(ms: number | (() => number)): void {
    this.#delay = typeof ms === 'number' ? () => ms : ms;
  }

  /** The next `times` sends reach the server, and the connection is cut before the answer comes. */
  dropAcks(times = 1): void {
    this.#losses = times;
  }

  /** Puts other frames in the place of those that come over WebSockets, e.g. `() => []` to lose them; undefined ends it. */
  tamper(instead: TestTamper | undefined): void {
    this.#weather.tamper = instead;
  }

  /** Ends all of the above. Connections that went mute in a black hole stay so. */
  restore(): void {
    const wasOffline = this.#weather.isOffline;
    this.#weather.isOffline = this.#weather.isHole = false;
    this.#blocked.clear();
    this.#losses = 0;
    this.delay(0);
    this.tamper(undefined);
    if (wasOffline) this.#tellDevice(true);
  }

  /** A device that says nothing of its network (Node) is not told. */
  #tellDevice(isOnline: boolean): void {
    const { navigator, window } = globalThis as { navigator?: Navigator; window?: Window };
    if (!navigator || !window) return;
    if (isOnline) {
      if (this.#onLine) Object.defineProperty(navigator, 'onLine', this.#onLine);
      else Reflect.deleteProperty(navigator, 'onLine');
    } else {
      this.#onLine = Object.getOwnPropertyDescriptor(navigator, 'onLine');
      Object.defineProperty(navigator, 'onLine', { value: false, configurable: true });
    }
    window.dispatchEvent(new Event(isOnline ? 'online' : 'offline'));
  }
}
