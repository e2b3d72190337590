import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Server } from './server.ts';

/** The room of Home. */
export const lobby = 'chat:lobby';

/** The greeting that an empty room gets. */
export const greetingLength = 4;

/** How long anything is waited for: generous, for a machine that does other things as well. */
export const patienceMs = 60_000;

const patience = { timeout: patienceMs, interval: 50 };

/** One row of a pane's conversation. */
export interface Row {
  readonly seq: number;
  readonly tag: string;
  readonly text: string;
}

/** One of the two panes of Home. */
export class Pane {
  readonly root: Locator;
  readonly composer: Locator;
  readonly tunnel: Locator;
  readonly connection: Locator;
  readonly words: Locator;
  readonly verdict: Locator;
  readonly strip: Locator;

  constructor(page: Page, name: string) {
    this.root = page.getByRole('region', { name, exact: true });
    this.composer = this.root.getByRole('textbox');
    this.tunnel = this.root.getByRole('switch');
    this.connection = this.root.locator('.connection');
    this.words = this.connection.locator('.connection-words');
    this.verdict = this.root.getByRole('status');
    this.strip = this.root.locator('.strip-words');
  }

  /** Writes a message and presses Enter. */
  async say(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** The row with this text, stored or not. */
  row(text: string): Locator {
    return this.root.locator('.row').filter({ has: this.root.page().getByText(text, { exact: true }) });
  }

  /** The rows that are stored, in the order they are shown. */
  rows(): Promise<Row[]> {
    return this.root.locator('.row[data-seq]').evaluateAll(rows =>
      rows.map(row => ({
        seq: Number(row.getAttribute('data-seq')),
        tag: String(row.getAttribute('data-tag')),
        text: String(row.querySelector('.row-text')?.textContent),
      })),
    );
  }

  /** Notes every sentence about the connection from now on; the returned function tells them. */
  async recordWords(): Promise<() => Promise<string[]>> {
    const record = await this.words.evaluateHandle(words => {
      const said: string[] = [];
      const note = () => said.push(words.textContent ?? '');
      new MutationObserver(note).observe(words, { characterData: true, childList: true, subtree: true });
      return said;
    });
    return () => record.jsonValue();
  }

  /** How many rows are not stored yet. */
  pending(): Promise<number> {
    return this.root.locator('.row:not([data-seq])').count();
  }

  /** Puts the pane into its tunnel or lets it out. */
  async setTunnel(inside: boolean): Promise<void> {
    await this.tunnel.click();
    await expect.poll(() => this.tunnel.getAttribute('aria-checked'), patience).toBe(String(inside));
  }
}

/** The first page. */
export class Home {
  readonly mira: Pane;
  readonly jonas: Pane;

  constructor(readonly page: Page) {
    this.mira = new Pane(page, 'Mira');
    this.jonas = new Pane(page, 'Jonas');
  }

  /** Resolves when both panes are connected and have greeted each other. */
  async greeted(): Promise<void> {
    for (const pane of [this.mira, this.jonas]) {
      await pane.root.locator('.connection[data-state="connected"]').waitFor();
      await pane.root.locator(`.row[data-seq="${greetingLength}"]`).waitFor();
    }
  }
}

/**
 * Waits until every pane shows exactly what the store has: nothing missing, doubled or out of order
 * (I8, I9), with nothing left unsent. Returns the texts.
 */
export async function expectAllSame(
  server: Server,
  panes: readonly Pane[],
  atLeast: number,
): Promise<string[]> {
  await expect
    .poll(
      async () => (await Promise.all(panes.map(pane => pane.pending()))).reduce((a, b) => a + b),
      patience,
    )
    .toBe(0);
  await expect.poll(async () => (await server.log(lobby)).length, patience).toBeGreaterThanOrEqual(atLeast);
  const stored = (await server.log(lobby)).map(e => ({ seq: e.seq, tag: e.tag, text: e.data.text ?? '' }));
  expect(stored.map(e => e.seq)).toEqual(stored.map((_, i) => i + 1));
  for (const pane of panes) {
    await expect.poll(() => pane.rows(), patience).toEqual(stored);
    await expect.poll(() => pane.strip.textContent(), patience).toContain(', 0 missing');
    expect(await pane.strip.textContent()).not.toMatch(/twice|out of order/);
  }
  return stored.map(e => e.text);
}

/** Polls with the patience of a busy machine. */
export function eventually<T>(read: () => Promise<T>) {
  return expect.poll(read, patience);
}
