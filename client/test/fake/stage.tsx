import { act, type ReactNode, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { type Client, createClient } from '../../src/index.js';
import { RoomlogProvider } from '../../src/react/index.js';
import { FakeNetwork, type FakeSocket, joined } from './socket.js';

/** Lets time pass, with what it brings. */
export const pass = (ms = 0) => act(() => vi.advanceTimersByTimeAsync(ms));

/** A page under StrictMode with a client of its own for each test, on a network that the test plays. */
export class Stage {
  network!: FakeNetwork;
  client!: Client;
  /** What the client says that it is. A server in memory looks at it. */
  token = 't';
  host!: HTMLElement;
  root!: Root;
  /** What React and we said on the console: in the end there must be nothing. */
  readonly complaints: unknown[][] = [];

  /** Renders inside the provider. */
  async render(inside: ReactNode): Promise<void> {
    await act(async () => this.root.render(this.app(inside)));
  }

  app(inside: ReactNode): ReactNode {
    return (
      <StrictMode>
        <RoomlogProvider client={this.client}>{inside}</RoomlogProvider>
      </StrictMode>
    );
  }

  /** Connects. */
  async connected(): Promise<FakeSocket> {
    await pass();
    await act(async () => this.network.last.welcome());
    return this.network.last;
  }

  /** Connects, and joins the one room with two messages. */
  async joined(): Promise<FakeSocket> {
    const socket = await this.connected();
    await act(async () => socket.say(joined(socket.take('join').id, 0, 2)));
    return socket;
  }

  get text(): string | null {
    return this.host.textContent;
  }
}

/** Sets the stage before each test of a file, and looks behind each whether anybody complained. */
export function stage(): Stage {
  const set = new Stage();
  beforeEach(() => {
    vi.useFakeTimers();
    Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
    set.complaints.length = 0;
    for (const level of ['error', 'warn'] as const) {
      vi.spyOn(console, level).mockImplementation((...said) => set.complaints.push(said));
    }
    set.network = new FakeNetwork();
    set.client = createClient({
      url: 'http://h:1',
      token: async () => set.token,
      WebSocket: set.network.WebSocket,
    });
    set.host = document.createElement('div');
    set.root = createRoot(set.host);
  });
  afterEach(async () => {
    await act(async () => set.root.unmount());
    await set.client.close();
    vi.restoreAllMocks();
    vi.useRealTimers();
    expect(set.complaints).toEqual([]);
  });
  return set;
}
