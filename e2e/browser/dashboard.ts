import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { visit } from './chromium.ts';
import type { Server } from './server.ts';

const binary = fileURLToPath(new URL('../../bin/roomlog', import.meta.url));

/** The page /dashboard as a person meets it. */
export class Dashboard {
  readonly charts: Locator;
  readonly badge: Locator;
  readonly status: Locator;
  readonly pause: Locator;
  readonly table: Locator;

  constructor(
    readonly page: Page,
    readonly complaints: string[],
  ) {
    this.charts = page.getByRole('figure');
    this.badge = page.locator('.badge > span:last-child');
    this.status = page.locator('.badge').getByRole('status');
    this.pause = page.locator('.feed-button').first();
    this.table = page.getByRole('button', { name: 'Table' });
  }

  /** The number above a chart. */
  readonly value = (): Promise<string | null> => this.page.locator('.chart-value').first().textContent();

  /** The first column of values of the table, the newest first. */
  readonly column = (): Promise<string[]> => this.page.locator('tbody tr td:first-of-type').allTextContents();

  /** Hides the tab or shows it: Chromium without a screen calls every tab visible. */
  see(visible: boolean): Promise<void> {
    return this.page.evaluate(
      value => {
        Object.defineProperty(document, 'visibilityState', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      },
      visible ? 'visible' : 'hidden',
    );
  }
}

/** Opens the page in a context of its own, as another person at another machine would. */
export async function openDashboard(
  browser: Browser,
  origin: string,
  room: string,
  options: BrowserContextOptions = {},
): Promise<Dashboard> {
  const { page, complaints } = await visit(browser, `${origin}/dashboard?room=${room}`, options);
  return new Dashboard(page, complaints);
}

/** When point 0 was measured. */
const origin = Date.now() - 40_000;

/** Posts points of one series, `load_kw`: their values are `from` to `to`, and each is measured a second after the one before. */
export async function post(server: Server, room: string, from: number, to = from): Promise<void> {
  for (let first = from; first <= to; first += 100) {
    const points = [];
    for (let n = first; n < first + 100 && n <= to; n++)
      points.push({ t: origin + n * 1_000, v: { load_kw: n } });
    await append(server, room, points);
  }
}

/**
 * Keeps a feed live for as long as a test looks at it, and what it shows as it is: what comes is of the type of points, but none.
 * The function that it gives ends that.
 */
export function keepLive(server: Server, room: string): () => Promise<void> {
  const over = new AbortController();
  const coming = (async () => {
    while (!over.signal.aborted) {
      await append(server, room, [{}]);
      await sleep(1_000, undefined, over).catch(() => {});
    }
  })();
  return () => {
    over.abort();
    return coming;
  };
}

async function append(server: Server, room: string, points: object[]): Promise<void> {
  const headers = {
    Authorization: `Bearer ${await server.token('plant')}`,
    'Content-Type': 'application/json',
  };
  const events = points.map(data => ({ tag: randomUUID(), type: 'point', data }));
  const body = JSON.stringify({ events });
  const answer = await fetch(`${server.url}/v1/rooms/${room}/events`, { method: 'POST', headers, body });
  const { results } = (await answer.json()) as { results: { seq?: number }[] };
  if (results.some(({ seq }) => seq === undefined)) throw new Error(JSON.stringify(results));
}

/** `roomlog demo-feed` in a process of its own. */
export class Producer {
  readonly #child: ChildProcess;

  constructor(server: Server, room: string) {
    this.#child = spawn(binary, ['demo-feed', '--room', room, '--url', server.url], { stdio: 'ignore' });
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
