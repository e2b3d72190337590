import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { visit } from './chromium.ts';

/** The page /doc as a person meets it. */
export class Doc {
  readonly status: Locator;
  readonly chip: Locator;
  readonly text: Locator;
  readonly carets: Locator;
  readonly undo: Locator;
  readonly redo: Locator;
  readonly note: Locator;

  constructor(
    readonly page: Page,
    readonly complaints: string[],
  ) {
    this.status = page.getByRole('status');
    this.chip = page.locator('.saved');
    this.text = page.getByRole('textbox', { name: /^Text of the document/ });
    this.carets = page.locator('.caret');
    this.undo = page.getByRole('button', { name: /^Undo/ });
    this.redo = page.getByRole('button', { name: 'Redo' });
    this.note = page.locator('.doc-note');
  }

  /** Resolves when the room is joined and the document is there and saved. */
  async ready(): Promise<this> {
    await this.page.locator('.connection[data-state="connected"]').waitFor();
    await this.page.locator('.saved[data-state="saved"]').waitFor();
    await this.text.waitFor();
    return this;
  }

  /** What is written, without the names of others' carets in it. */
  content(): Promise<string> {
    return this.text.evaluate(text =>
      [...text.querySelectorAll('.cm-line')]
        .map(line => {
          const copy = line.cloneNode(true) as Element;
          for (const caret of copy.querySelectorAll('.caret')) caret.remove();
          return copy.textContent;
        })
        .join('\n'),
    );
  }

  /** The chip's word. */
  saved(): Promise<string | null> {
    return this.chip.getAttribute('data-state');
  }

  /** Notes what the chip says from now on, until the page is reloaded; the returned function tells it. */
  async noteChip(): Promise<() => Promise<string[]>> {
    const noted = await this.chip.evaluateHandle(chip => {
      const states = [chip.getAttribute('data-state') ?? ''];
      new MutationObserver(() => states.push(chip.getAttribute('data-state') ?? '')).observe(chip, {
        attributeFilter: ['data-state'],
      });
      return states;
    });
    return () => noted.jsonValue();
  }

  /** Puts the caret behind some words, which are in one piece of a line. */
  async goBehind(words: string): Promise<void> {
    await this.text.evaluate((text, words) => {
      const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.textContent?.indexOf(words) ?? -1;
        if (at < 0 || node.parentElement?.closest('.caret')) continue;
        (text as HTMLElement).focus();
        document.getSelection()?.setPosition(node, at + words.length);
        return;
      }
      throw new Error(`there is no “${words}”`);
    }, words);
    // The editor takes note of it when the browser says so, which is before it has drawn twice.
    await this.page.evaluate(
      () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
  }

  /** Writes behind some words, letter by letter. */
  async writeBehind(words: string, text: string): Promise<void> {
    await this.goBehind(words);
    await this.page.keyboard.type(text);
  }
}

/** Opens the page in a context of its own, as another person at another machine would. */
export async function openDoc(
  browser: Browser,
  origin: string,
  as: string,
  options: BrowserContextOptions = {},
): Promise<Doc> {
  const { page, complaints } = await visit(browser, `${origin}/doc?as=${encodeURIComponent(as)}`, options);
  return new Doc(page, complaints);
}
