import { vi } from 'vitest';
import { FakeHttp, type FakeLog } from './http.js';
import { FakeLocks } from './locks.js';

/** What happens to a note on a channel that is posted next. */
export type NoteFault = 'lost' | 'twice' | 'late';

interface Ear {
  readonly name: string;
  readonly tab: FakeTab;
  hear(data: unknown): void;
}

/** The tabs of one browser: their locks and channels are common, their requests go to one server. */
export class FakeTabs {
  readonly tabs: FakeTab[] = [];
  readonly faults: NoteFault[] = [];
  /** No note arrives. */
  mute = false;
  /** Every note that was posted. */
  readonly notes: unknown[] = [];
  readonly locks = new FakeLocks();
  readonly ears = new Set<Ear>();
  readonly #server: FakeLog;

  constructor(server: FakeLog) {
    this.#server = server;
  }

  /** A tab; its client's URL is its `origin`, which to locks and channels is the same for all. */
  open(): FakeTab {
    const tab = new FakeTab(this, `tab${this.tabs.length + 1}`, new FakeHttp(this.#server));
    this.tabs.push(tab);
    return tab;
  }

  /** Puts the tabs in the place of the globals. Which tab it is that asks is told by the origin in its URLs and names. */
  stub(): void {
    const of = (text: string) => {
      const tab = this.tabs.find(
        ({ origin }) => text.includes(`${origin}"`) || text.startsWith(`${origin}/`),
      );
      if (!tab) throw new Error(`no tab is ${text}`);
      return tab;
    };
    vi.stubGlobal('location', { href: 'http://page/' });
    vi.stubGlobal('fetch', (input: string, init?: RequestInit) => of(input).http.fetch(input, init));
    vi.stubGlobal('navigator', {
      locks: {
        request: (name: string, options: object, callback: () => Promise<unknown>) =>
          of(name).request(name, options, callback),
      },
    });
    vi.stubGlobal('BroadcastChannel', function channel(name: string) {
      return of(name).channel(name);
    });
  }

  /** How many streams the server has. */
  get streams(): number {
    return this.tabs.reduce((n, { http }) => n + http.streams.size, 0);
  }

  /** The tabs that have a stream. */
  get holders(): FakeTab[] {
    return this.tabs.filter(({ http }) => http.streams.size > 0);
  }

  post(from: Ear, data: unknown): void {
    this.notes.push(data);
    const fault = this.faults.shift();
    if (fault === 'lost' || this.mute) return;
    for (const ear of [...this.ears]) {
      if (ear === from || ear.name !== from.name) continue;
      for (let n = fault === 'twice' ? 2 : 1; n > 0; n--)
        setTimeout(() => ear.hear(structuredClone(data)), fault === 'late' ? 50 : 1);
    }
  }
}

/** One tab. Frozen, it hears and says nothing, nothing of its stream comes, and it lets go of no lock. */
export class FakeTab {
  readonly origin: string;
  readonly http: FakeHttp;
  readonly #tabs: FakeTabs;
  #heard: (() => void)[] = [];
  #thawed = Promise.resolve();
  #thaw = () => {};

  constructor(tabs: FakeTabs, name: string, http: FakeHttp) {
    this.#tabs = tabs;
    this.origin = `http://${name}`;
    this.http = http;
  }

  async request(name: string, options: object, callback: () => Promise<unknown>): Promise<unknown> {
    await this.#thawed;
    return this.#tabs.locks.request(name.replace(this.origin, ''), options, async () => {
      await this.#thawed;
      await callback();
      await this.#thawed;
    });
  }

  channel(name: string): object {
    const tabs = this.#tabs;
    const channel = { onmessage: undefined as ((event: { data: unknown }) => void) | undefined };
    const ear: Ear = {
      name: name.replace(this.origin, ''),
      tab: this,
      hear: data => {
        if (this.http.frozen) this.#heard.push(() => ear.hear(data));
        else if (tabs.ears.has(ear)) channel.onmessage?.({ data });
      },
    };
    tabs.ears.add(ear);
    return Object.assign(channel, {
      postMessage: (data: unknown) => this.http.frozen || tabs.post(ear, data),
      close: () => tabs.ears.delete(ear),
    });
  }

  freeze(): void {
    this.http.frozen = true;
    this.#thawed = new Promise(resolve => {
      this.#thaw = resolve;
    });
  }

  /** Gone without a word: what it held is free, what it was told is lost. */
  die(): void {
    this.#heard = [];
    this.#thaw();
    for (const ear of this.#tabs.ears) if (ear.tab === this) this.#tabs.ears.delete(ear);
  }

  thaw(): void {
    this.http.frozen = false;
    this.#thaw();
    for (const hear of this.#heard.splice(0)) hear();
  }
}
