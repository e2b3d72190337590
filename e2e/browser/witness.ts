import type { Page } from 'playwright-core';

/** What a page has shown at any time since it was opened. */
export interface Seen {
  /** What looked like an error: its words, or the element. */
  readonly errors: readonly string[];
  /** The nodes that it named, one after the other. */
  readonly nodes: readonly string[];
  /** The sentences that its banner had. */
  readonly banners: readonly string[];
  /** The texts of the messages that were ever in the document, in the order in which they came there. */
  readonly texts: readonly string[];
  /** How each of the people was shown to be here, by name, one after the other. */
  readonly people: Readonly<Record<string, readonly string[]>>;
}

/** Watches a page from before it is opened. */
export class Witness {
  private constructor(private readonly page: Page) {}

  /** Has the page /chat watched: each change of its document, some of which a look now and then might miss. */
  static async of(page: Page): Promise<Witness> {
    await page.addInitScript(watch);
    return new Witness(page);
  }

  /** All that was seen. */
  readonly seen = (): Promise<Seen> => this.page.evaluate(() => (window as unknown as { seen: Seen }).seen);

  /** Whether a message with this text was ever there. */
  hasSeen(text: string): Promise<boolean> {
    return this.page.evaluate(text => (window as unknown as { seen: Seen }).seen.texts.includes(text), text);
  }

  /** The node that was named last. */
  readonly node = async (): Promise<string | undefined> => (await this.seen()).nodes.at(-1);
}

function watch(): void {
  const seen = {
    errors: [] as string[],
    nodes: [] as string[],
    banners: [] as string[],
    texts: [] as string[],
    people: {} as Record<string, string[]>,
  };
  Object.assign(window, { seen });
  const wrong =
    '[role="alert"], .failure, [data-delivery="failed"], [data-state="failed"], [data-state="closed"], [data-tone="over"]';
  const words =
    /cannot|can’t|could not|couldn’t|fail|error|unable|unavailable|refused|stopped|went wrong|try again|not sent/i;
  const note = (list: string[], text: string | null | undefined) => {
    if (text && list.at(-1) !== text) list.push(text);
  };
  const look = (node: Node) => {
    const element = node instanceof Element ? node : node.parentElement;
    if (!element || !document.body?.contains(element) || element.closest('script, style')) return;
    for (const each of element.matches(wrong) ? [element] : element.querySelectorAll(wrong))
      note(seen.errors, each.outerHTML);
    for (const text of element.querySelectorAll('.bubble-text')) note(seen.texts, text.textContent);
    if (words.test(element.textContent ?? '')) note(seen.errors, element.textContent);
  };
  new MutationObserver(changes => {
    for (const { type, target, addedNodes } of changes) {
      if (type !== 'childList') look(target);
      else for (const node of addedNodes) look(node);
    }
    note(seen.nodes, document.querySelector('.signal .node-sign')?.textContent?.replace('on node ', ''));
    for (const row of document.querySelectorAll('.person')) {
      const name = row.querySelector('.person-name')?.textContent ?? '';
      seen.people[name] ??= [];
      note(seen.people[name], row.getAttribute('data-presence'));
    }
    note(seen.banners, document.querySelector('.banner p')?.textContent);
  }).observe(document, { attributes: true, characterData: true, childList: true, subtree: true });
}
