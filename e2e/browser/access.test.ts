import { gzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings, tabAround } from './access.ts';
import { givenUp, launch, type Visit, visit } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Opens Home, runs, and closes it; the page must not have complained. */
async function at(options: Parameters<typeof visit>[2], run: (v: Visit) => Promise<void>): Promise<void> {
  const v = await visit(browser, server.url, options);
  await v.home.greeted();
  await run(v);
  expect(v.complaints.filter(line => !givenUp.test(line))).toEqual([]);
  await v.page.context().close();
}

// Each theme and each size once: what axe looks at depends on the one or on the other.
const looks = [
  { colorScheme: 'light', viewport: { width: 390, height: 844 }, width: 390 },
  { colorScheme: 'dark', viewport: { width: 1280, height: 900 }, width: 1280 },
] as const;

test.each(looks)(
  'axe finds nothing serious in $colorScheme at $width px, in a tunnel or not',
  ({ viewport, colorScheme }) =>
    at({ viewport, colorScheme }, async ({ page, home }) => {
      expect(await seriousFindings(page)).toEqual([]);
      await home.mira.setTunnel(true);
      const waiting = `waiting at ${viewport.width} px, ${colorScheme}`;
      await home.mira.say(waiting);
      await eventually(() => home.mira.row(waiting).count()).toBe(1);
      expect(await seriousFindings(page)).toEqual([]);
      await home.mira.setTunnel(false);
      await eventually(() => home.mira.row(waiting).getAttribute('data-delivery')).toBe('sent');
    }),
);

test('by keyboard alone: write, go into the tunnel, come out, with a visible focus all the way', () =>
  at({}, async ({ page, home }) => {
    const focused = () =>
      page.evaluate(
        () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName,
      );
    await eventually(() => home.mira.composer.evaluate(box => box === document.activeElement)).toBe(true);
    await page.keyboard.type('typed only');
    await page.keyboard.press('Enter');
    await eventually(() => home.jonas.row('typed only').count()).toBe(1);
    for (let i = 0; i < 6 && (await focused()) !== 'Tunnel for Mira'; i++)
      await page.keyboard.press('Shift+Tab');
    expect(await focused()).toBe('Tunnel for Mira');
    await page.keyboard.press('Space');
    await eventually(() => home.mira.tunnel.getAttribute('aria-checked')).toBe('true');
    await page.keyboard.press('Enter');
    await eventually(() => home.mira.tunnel.getAttribute('aria-checked')).toBe('false');

    expect((await tabAround(page)).length).toBeGreaterThan(8);
  }));

test('nothing jumps: composer and strip stay where they are in every state', () =>
  at({}, async ({ home }) => {
    const places = async () =>
      [await home.mira.composer.boundingBox(), await home.mira.strip.boundingBox()].map(b => b?.y);
    const before = await places();
    await home.mira.setTunnel(true);
    await home.mira.say('in between');
    expect(await places()).toEqual(before);
    await home.mira.setTunnel(false);
    await eventually(() => home.mira.verdict.textContent()).toContain('nothing missing');
    expect(await places()).toEqual(before);
  }));

test('on a phone the composer of the first pane is in sight, targets are 44 px, nothing overflows', () =>
  at({ viewport: { width: 390, height: 844 } }, async ({ page, home }) => {
    const composer = await home.mira.composer.boundingBox();
    expect((composer?.y ?? Number.POSITIVE_INFINITY) + (composer?.height ?? 0)).toBeLessThan(844);
    const small = await page
      .locator('.composer button, .composer textarea, .tunnel-switch, .tabs button')
      .evaluateAll(targets =>
        targets.filter(t => t.getBoundingClientRect().height < 44).map(t => t.outerHTML.slice(0, 120)),
      );
    expect(small).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);

    // The longest sentence a pane says must not push anything out of it.
    await home.jonas.setTunnel(true);
    await home.jonas.say('w'.repeat(300));
    const retry = home.jonas.root.getByRole('button', { name: 'Retry now' });
    await retry.waitFor();
    for (const part of [retry, home.jonas.tunnel, home.jonas.root.getByRole('button', { name: 'Send' })]) {
      const box = await part.boundingBox();
      expect((box?.x ?? Number.POSITIVE_INFINITY) + (box?.width ?? 0)).toBeLessThanOrEqual(390 - 16);
    }
    const cutShort = await home.jonas.words.evaluate(words => words.scrollWidth - words.clientWidth);
    expect(cutShort).toBe(0);
    await home.jonas.setTunnel(false);
    await eventually(() => home.jonas.verdict.textContent()).toContain('nothing missing');
  }));

test('a chosen theme is kept and is there before anything is painted', () =>
  at({ colorScheme: 'light' }, async ({ page }) => {
    await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
    const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await paper();
    await page.addInitScript(() => {
      new MutationObserver((_, watching) => {
        if (!document.body) return;
        (window as unknown as { themeAtBody: string | undefined }).themeAtBody =
          document.documentElement.dataset.theme;
        watching.disconnect();
      }).observe(document, { childList: true, subtree: true });
    });
    await page.reload();
    expect(await page.evaluate(() => (window as unknown as { themeAtBody: string }).themeAtBody)).toBe(
      'dark',
    );
    expect(await paper()).toBe(dark);
    await page.getByRole('radio', { name: 'System' }).check({ force: true });
    expect(await paper()).not.toBe(dark);
  }));

test('the scripts of the page are at most 120 KB compressed', async () => {
  const page = await (await fetch(server.url)).text();
  const scripts = [...page.matchAll(/(?:src|href)="([^"]+\.js)"/g)].map(m => m[1]);
  expect(scripts.length).toBeGreaterThan(0);
  let bytes = 0;
  for (const script of scripts)
    bytes += gzipSync(await (await fetch(`${server.url}${script}`)).text()).length;
  console.log(`scripts: ${(bytes / 1000).toFixed(1)} KB compressed`);
  expect(bytes).toBeLessThanOrEqual(120_000);
});
