import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { visit } from './chromium.ts';
import { eventually, type Row } from './home.ts';

/** The page /chat as a reader meets it. */
export class Chat {
  readonly composer: Locator;
  readonly log: Locator;
  readonly rows: Locator;
  readonly banner: Locator;
  readonly signal: Locator;
  readonly status: Locator;
  readonly rooms: Locator;

  constructor(
    readonly page: Page,
    readonly complaints: string[],
  ) {
    this.composer = page.locator('.composer textarea');
    this.log = page.getByRole('log');
    this.rows = page.locator('.bubble-row');
    this.banner = page.locator('.banner');
    this.signal = page.locator('.signal');
    this.status = page.getByRole('status');
    this.rooms = page.getByRole('navigation', { name: 'Rooms' });
  }

  get context(): BrowserContext {
    return this.page.context();
  }

  /** Resolves when the room is joined. */
  async ready(): Promise<this> {
    await this.page.locator('.signal[data-state="connected"]').waitFor();
    await this.page.locator('.log, .standin').first().waitFor();
    return this;
  }

  /** Writes a message and presses Enter. */
  async say(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** The row with this text, stored or not, while it is in the document. */
  row(text: string): Locator {
    return this.rows.filter({ has: this.page.getByText(text, { exact: true }) });
  }

  /** How the message with this text is delivered. */
  delivery(text: string): () => Promise<string | null> {
    return () => this.row(text).getAttribute('data-delivery');
  }

  /** The rows in the document, in the order they are shown. */
  shown(): Promise<(Row & { readonly delivery: string })[]> {
    return this.rows.evaluateAll(rows =>
      rows.map(row => ({
        seq: Number(row.getAttribute('data-seq')),
        tag: String(row.getAttribute('data-tag')),
        text: String(row.querySelector('.bubble-text')?.textContent),
        delivery: String(row.getAttribute('data-delivery')),
      })),
    );
  }

  /** The texts of the rows in the document. */
  readonly texts = async (): Promise<string[]> => (await this.shown()).map(row => row.text);

  /** How far the end of the conversation is out of sight, in whole pixels: places are fractions, the scroll is rounded. */
  readonly fromEnd = (): Promise<number> =>
    this.log.evaluate(box => Math.max(0, box.scrollHeight - box.scrollTop - box.clientHeight - 1));

  /** Goes to another room by its link. */
  async open(name: string): Promise<void> {
    await this.rooms.getByRole('link', { name }).click();
    await this.page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
  }

  /** Presses "Retry now" where it is: the page may have come back by itself. */
  retryNow(): Promise<void> {
    return this.page
      .getByRole('button', { name: 'Retry now' })
      .evaluateAll(all => all.forEach(each => void (each as HTMLElement).click()));
  }

  /** The badge of a room in the list; null where there is none. */
  async badge(name: string): Promise<string | null> {
    const badge = this.rooms.getByRole('link', { name }).locator('.badge');
    return (await badge.count()) === 0 ? null : badge.evaluate(b => b.firstChild?.textContent ?? null);
  }
}

/** Where a chat is opened, beside what a browser context takes. */
export interface Opening extends BrowserContextOptions {
  readonly as?: 'Mira' | 'Jonas';
  readonly room?: string;
  /** The message that is linked to. */
  readonly seq?: number;
}

/** The address of a chat. */
export function chatUrl(origin: string, { as = 'Mira', room, seq }: Opening = {}): string {
  const query = new URLSearchParams({ as, ...(room !== undefined && { room }) });
  return `${origin}/chat?${query}${seq === undefined ? '' : `#${seq}`}`;
}

/** Opens the chat in a context of its own, as another person at another machine would. */
export async function openChat(browser: Browser, origin: string, opening: Opening = {}): Promise<Chat> {
  const { as: _as, room: _room, seq: _seq, ...options } = opening;
  const { page, complaints } = await visit(browser, chatUrl(origin, opening), options);
  return new Chat(page, complaints);
}

/** Opens another tab of the same person, in the same browser. */
export async function openTab(chat: Chat, origin: string, opening: Opening = {}): Promise<Chat> {
  const page = await chat.context.newPage();
  await page.goto(chatUrl(origin, opening));
  return new Chat(page, chat.complaints);
}

/** Resolves when these texts are in the document, in this order and with nothing between. */
export function expectShown(chat: Chat, texts: readonly string[]): Promise<void> {
  return eventually(async () => (await chat.texts()).slice(-texts.length)).toEqual(texts);
}

/** Whether a row is in the part of the conversation that is in sight; false where there is none. */
export async function isInSight(chat: Chat, row: Locator): Promise<boolean> {
  if ((await row.count()) === 0) return false;
  const [at, sight] = await Promise.all([row.boundingBox(), chat.log.boundingBox()]);
  return (
    at !== null &&
    sight !== null &&
    (await row.isVisible()) &&
    at.y + at.height > sight.y &&
    at.y < sight.y + sight.height
  );
}
