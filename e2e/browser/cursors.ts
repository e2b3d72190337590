import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { visit } from './chromium.ts';

/** A place of the area, from 0 to 1 in both directions. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** The page /cursors as a person meets it. */
export class Cursors {
  readonly frame: Locator;
  readonly people: Locator;
  readonly status: Locator;
  readonly alone: Locator;

  constructor(
    readonly page: Page,
    readonly complaints: string[],
  ) {
    this.frame = page.getByRole('application', { name: 'Shared plan' });
    this.people = page.getByRole('complementary');
    this.status = page.getByRole('status');
    this.alone = page.getByText('You are alone here.');
  }

  /** Resolves when the room is joined and it is known who is in it. */
  async ready(): Promise<this> {
    await this.page.locator('.connection[data-state="connected"]').waitFor();
    await this.people.getByRole('heading', { name: /here$/ }).waitFor();
    await this.page.getByText(/^(One person|\d+ people) here$/).waitFor();
    return this;
  }

  /** Somebody's pointer, in sight or not. */
  pointer(user: string): Locator {
    return this.page.locator(`.pointer[data-user="${user}"]`);
  }

  /** The sign at the edge for somebody's pointer that is out of sight. */
  sign(user: string): Locator {
    return this.page.locator(`.sign[data-user="${user}"]`);
  }

  /** Where somebody's pointer is drawn, to a thousandth of the area; null where it is not. */
  place(user: string): () => Promise<Place | null> {
    return () =>
      this.page.evaluate(name => {
        const pointer = document.querySelector(`.pointer[data-user="${name}"]`);
        const area = document.querySelector('.area-surface')?.getBoundingClientRect();
        if (!pointer || !area) return null;
        const { left, top } = pointer.getBoundingClientRect();
        const share = (at: number, size: number) => Math.round((at / size) * 1_000) / 1_000;
        return { x: share(left - area.left, area.width), y: share(top - area.top, area.height) };
      }, user);
  }

  /** Moves the mouse to a place of the area, which has to be in sight. */
  async pointAt({ x, y }: Place): Promise<void> {
    const box = await this.page.locator('.area-surface').boundingBox();
    if (!box) throw new Error('there is no area');
    await this.page.mouse.move(box.x + x * box.width, box.y + y * box.height);
  }
}

/** Opens the page in a context of its own, as another person at another machine would. */
export async function openCursors(
  browser: Browser,
  origin: string,
  as: string,
  options: BrowserContextOptions = {},
): Promise<Cursors> {
  const { page, complaints } = await visit(
    browser,
    `${origin}/cursors?as=${encodeURIComponent(as)}`,
    options,
  );
  return new Cursors(page, complaints);
}
