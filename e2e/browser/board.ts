import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { visit } from './chromium.ts';

/** The page /board as a person meets it. */
export class Board {
  readonly status: Locator;
  readonly undo: Locator;
  readonly redo: Locator;
  readonly losses: Locator;

  constructor(
    readonly page: Page,
    readonly complaints: string[],
  ) {
    this.status = page.getByRole('status');
    this.undo = page.getByRole('button', { name: /^Undo/ });
    this.redo = page.getByRole('button', { name: 'Redo' });
    this.losses = page.locator('.loss');
  }

  /** Resolves when the room is joined. */
  async ready(): Promise<this> {
    await this.page.locator('.connection[data-state="connected"]').waitFor();
    await this.page.getByRole('list', { name: 'At the board' }).waitFor();
    return this;
  }

  /** The titles of the cards, by column. */
  titles(): Promise<Record<string, string[]>> {
    return this.page.evaluate(() =>
      Object.fromEntries(
        [...document.querySelectorAll<HTMLElement>('[data-column]')].map(list => [
          list.dataset.column ?? '',
          [...list.querySelectorAll<HTMLInputElement>('.card-title')].map(input => input.value),
        ]),
      ),
    );
  }

  /** A card by its title. */
  card(title: string): Locator {
    return this.page.locator('.card').filter({ has: this.handle(title) });
  }

  /** What moves a card. */
  handle(title: string): Locator {
    return this.page.getByRole('button', { name: `Move “${title}”`, exact: true });
  }

  async add(column: string, title: string): Promise<void> {
    const box = this.page.getByRole('textbox', { name: `New card in ${column}` });
    await box.fill(title);
    await box.press('Enter');
  }

  /** Writes another title, as one does who then goes elsewhere. */
  async rename(title: string, to: string): Promise<void> {
    const box = this.card(title).getByRole('textbox', { name: 'Title' });
    await box.fill(to);
    await box.press('Enter');
  }
}

/** Opens the page in a context of its own, as another person at another machine would. */
export async function openBoard(
  browser: Browser,
  origin: string,
  as: string,
  options: BrowserContextOptions = {},
): Promise<Board> {
  const { page, complaints } = await visit(browser, `${origin}/board?as=${encodeURIComponent(as)}`, options);
  return new Board(page, complaints);
}
