// Takes the pictures of Home that README shows: not a test, but run like one for its tools.
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { launch, visit } from './chromium.ts';
import { eventually, type Home, type Pane } from './home.ts';
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

type Line = readonly ['mira' | 'jonas', string];

const earlier: readonly Line[] = [
  ['mira', 'Morning! On the 7:40 to Bern, window seat.'],
  ['jonas', 'Morning. Desk, coffee, rain.'],
  ['jonas', 'Did you see the plan for Thursday?'],
  ['mira', 'Reading it now.'],
  ['mira', 'Point 3 should come first, I think.'],
  ['jonas', 'Agreed. I will move it.'],
  ['jonas', 'Done.'],
  ['mira', 'Thank you!'],
];
const lately: readonly Line[] = [
  ['mira', 'Who tells the others?'],
  ['jonas', 'I will.'],
  ['mira', 'Perfect.'],
  ['jonas', 'They ask whether two o’clock is fine.'],
  ['mira', 'Two is fine.'],
  ['jonas', 'Then it is settled.'],
  ['mira', 'Here comes the Grauholz tunnel. Talk to you on the other side!'],
];
const inTheTunnel: readonly Line[] = [
  ['mira', 'It is dark in here, but I can still write.'],
  ['jonas', 'She has gone quiet. Her connection looks open and carries nothing.'],
  ['mira', 'These leave in this order once we are out.'],
  ['jonas', 'Whatever I say now, she will get once, and in order.'],
];

async function play(home: Home, lines: readonly Line[], settled: (pane: Pane) => boolean): Promise<void> {
  for (const [who, text] of lines) {
    const pane = home[who];
    await pane.say(text);
    if (settled(pane))
      await eventually(() => pane.row(text).last().getAttribute('data-delivery')).toBe('sent');
  }
}

const pictures = [
  { name: 'home-light', colorScheme: 'light', viewport: { width: 1280, height: 960 } },
  { name: 'home-dark', colorScheme: 'dark', viewport: { width: 1280, height: 960 } },
  { name: 'home-light-390', colorScheme: 'light', viewport: { width: 390, height: 844 } },
  { name: 'home-dark-390', colorScheme: 'dark', viewport: { width: 390, height: 844 } },
] as const;

test('Home, in a tunnel', async () => {
  const first = await visit(browser, server.url);
  await first.home.greeted();
  await play(first.home, earlier, () => true);
  await first.page.context().close();

  // One page, dressed in four ways: the conversation is the same in all of them.
  const { page, home } = await visit(browser, server.url, {
    deviceScaleFactor: 2,
    locale: 'en-GB',
    reducedMotion: 'reduce', // or a picture may catch a switch on its way
  });
  await home.greeted();
  await play(home, lately, () => true);
  await eventually(async () => (await home.mira.rows()).length).toBe((await home.jonas.rows()).length);
  await home.mira.setTunnel(true);
  await play(home, inTheTunnel, pane => pane === home.jonas);
  await home.mira.composer.focus();
  await eventually(() => home.mira.root.getByRole('timer').textContent()).toBe('0:03');
  for (const { name, colorScheme, viewport } of pictures) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url)) });
  }
});
