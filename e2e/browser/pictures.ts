import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';

/** How a page is dressed for its pictures. */
const dresses = [
  { name: 'light-1280', colorScheme: 'light', viewport: { width: 1280, height: 860 } },
  { name: 'dark-1280', colorScheme: 'dark', viewport: { width: 1280, height: 860 } },
  { name: 'light-390', colorScheme: 'light', viewport: { width: 390, height: 844 } },
  { name: 'dark-390', colorScheme: 'dark', viewport: { width: 390, height: 844 } },
  { name: 'light-320', colorScheme: 'light', viewport: { width: 320, height: 640 } },
] as const;

/** Takes the pictures of a state; `again` brings it back where a change of size has closed it. */
export type Camera = (
  seen: { readonly page: Page },
  name: string,
  again?: () => Promise<void>,
) => Promise<void>;

/** Takes pictures, each light and dark, wide and narrow, into a folder of test-results; they are not kept. */
export async function camera(kind: string): Promise<Camera> {
  const folder = fileURLToPath(new URL(`../../test-results/${kind}/`, import.meta.url));
  await mkdir(folder, { recursive: true });
  return async ({ page }, name, again = async () => {}) => {
    for (const { name: dress, colorScheme, viewport } of dresses) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await again();
      await page.evaluate(
        () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
      );
      await page.screenshot({ path: `${folder}${name}-${dress}.png` });
    }
    await page.setViewportSize(dresses[0].viewport);
  };
}
