import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { launch } from './chromium.ts';
import { type Dashboard, keepLive, openDashboard, Producer, post } from './dashboard.ts';
import { framesOf } from './frames.ts';
import { eventually } from './home.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// Number 30 of the table in README.md, and what 31 to 34 mean on this page. What takes its time (a silence, a tab that is hidden) begins first
// and is looked at last.

let server: Server;
let browser: Browser;
let producer: Producer;
let proxy: FaultProxy;
let endOfPlant: (() => Promise<void>) | undefined;
let wide: Dashboard;
let phone: Dashboard;
let silent: Dashboard;
let hidden: Dashboard;
const all: Dashboard[] = [];

const room = 'feed:plant';

async function open(...how: Parameters<typeof openDashboard>): Promise<Dashboard> {
  const opened = await openDashboard(...how);
  all.push(opened);
  return opened;
}

/** How many connections follow a room. */
async function followers(room: string): Promise<number> {
  const headers = { Authorization: `Bearer ${await server.token()}` };
  const answer = await fetch(`${server.url}/v1/connections?room=${room}`, { headers });
  return ((await answer.json()) as { total: number }).total;
}

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  proxy = await FaultProxy.start(server.url);
  producer = new Producer(server, 'feed:silent');
  await Promise.all([post(server, room, 1, 40), post(server, 'feed:hidden', 1, 40)]);
});
afterAll(async () => {
  await endOfPlant?.();
  await producer?.kill();
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
});

test('a producer that is killed and a tab that is hidden, for later', async () => {
  silent = await open(browser, server.url, 'feed:silent', { reducedMotion: 'reduce' });
  await eventually(() => silent.charts.count()).toBe(6);
  await eventually(() => silent.badge.textContent()).toBe('Live');
  await producer.kill();
  hidden = await open(browser, server.url, 'feed:hidden');
  await eventually(hidden.value).toBe('40');
  await hidden.see(false);
});

test('30: two windows begin with what is in the log, and show each point as it comes', async () => {
  wide = await open(browser, server.url, room, { viewport: { width: 1280, height: 860 } });
  phone = await open(browser, proxy.url, room, {
    viewport: { width: 390, height: 844 },
    colorScheme: 'dark',
    hasTouch: true,
    isMobile: true,
  });
  for (const { value, charts } of [wide, phone]) {
    await eventually(value).toBe('40');
    expect(await charts.count()).toBe(1);
    expect(await charts.getAttribute('aria-label')).toBe(
      'Load: 40 kW. In the last 39 seconds between 1 and 40.',
    );
    await eventually(() => charts.locator('canvas').count()).toBe(1);
  }
  // Without anything for 6 s it would say that instead, and what a window does next may take longer than that.
  endOfPlant = keepLive(server, room);
  await post(server, room, 41);
  await Promise.all([wide, phone].map(({ value }) => eventually(value).toBe('41')));
  await eventually(() => wide.badge.textContent()).toBe('Live');
});

test('30: it stands still when paused, and while a mouse or the focus rests on it', async () => {
  await wide.pause.click();
  await eventually(() => wide.badge.textContent()).toBe('Held');
  await post(server, room, 42);
  await eventually(phone.value).toBe('42');
  expect(await wide.value()).toBe('41');
  await wide.pause.click();
  await eventually(wide.value).toBe('42');
  await wide.charts.hover();
  await eventually(() => wide.badge.textContent()).toBe('Held');
  await wide.page.mouse.move(5, 5);
  await eventually(() => wide.badge.textContent()).toBe('Live');
  // 32: by keyboard, too; arrow keys read it, and the way on is no trap.
  await wide.table.focus();
  await wide.page.keyboard.press('Tab');
  await eventually(() => wide.badge.textContent()).toBe('Held');
  expect(await wide.charts.evaluate(chart => getComputedStyle(chart).outlineStyle)).toBe('solid');
  await wide.page.keyboard.press('ArrowLeft');
  await wide.page.keyboard.press('ArrowLeft');
  await eventually(wide.value).toBe('41');
  await wide.page.keyboard.press('Escape');
  await eventually(wide.value).toBe('42');
  await wide.page.keyboard.press('Shift+Tab');
  await eventually(() => wide.badge.textContent()).toBe('Live');
  await endOfPlant?.();
});

test('the table has the same data; a proxy that cuts the stream loses nothing of it', async () => {
  const newest = (to: number) => Array.from({ length: 20 }, (_, i) => String(to - i));
  await phone.table.tap();
  await eventually(phone.column).toEqual(newest(42));
  const cut = 'feed:cut';
  await post(server, cut, 1, 30);
  await phone.page.goto(`${proxy.url}/dashboard?room=${cut}`);
  await eventually(phone.value).toBe('30');
  await phone.table.tap();
  await eventually(phone.column).toEqual(newest(30));
  await proxy.fault({ kind: 'cut-after', class: '/v1/sse', direction: 'down', bytes: 900 });
  await post(server, cut, 31, 45);
  await proxy.cut('/v1/sse');
  await post(server, cut, 46, 70);
  await proxy.heal();
  await eventually(async () => (await phone.column())[0]).toBe('70');
  expect(await phone.column()).toEqual(newest(70));
});

test('it says when nothing comes any more, once aloud, and when something does', async () => {
  await eventually(() => silent.badge.textContent()).toMatch(/^No data for ([6-9]|\d\d) s$/);
  await eventually(() => silent.status.textContent()).toBe('No data comes.');
  expect(await silent.page.evaluate(() => document.getAnimations().length)).toBe(0);
  producer = new Producer(server, 'feed:silent');
  await eventually(() => silent.badge.textContent()).toBe('Live');
  await eventually(() => silent.status.textContent()).toBe('Data comes again.');
});

test('a hidden tab is left alone, and reads the newest in one go when it is seen', async () => {
  await eventually(() => followers('feed:hidden')).toBe(0);
  await post(server, 'feed:hidden', 41, 900);
  const reads: string[] = [];
  hidden.page.on('request', request => reads.push(new URL(request.url()).pathname));
  await hidden.see(true);
  await eventually(hidden.value).toBe('900');
  // What it missed is more than it shows: asked for from where it stood, and then the newest page.
  expect(reads.filter(path => path.endsWith('/events')).length).toBeLessThanOrEqual(3);
  await post(server, 'feed:hidden', 901);
  await eventually(hidden.value).toBe('901');
});

test('the server’s own figures come when somebody looks; the address says which source is shown', async () => {
  await wide.page.getByRole('radio', { name: 'This server' }).check({ force: true });
  await eventually(() => wide.charts.count()).toBe(6);
  expect(new URL(wide.page.url()).search).toBe('?room=feed%3Aserver');
  await eventually(() => wide.page.locator('.feed-rate').textContent()).toMatch(/^([6-9]|1\d) points\/s$/);
  console.log(await framesOf(wide.page, 60));
});

test('31, 33, 34: nothing serious for axe in light and dark, and a phone has what fits it', async () => {
  // The charts in light, the table in dark: what axe looks at depends on the theme or on the size.
  expect((await Promise.all([wide, phone].map(({ page }) => seriousFindings(page)))).flat()).toEqual([]);
  expect(await phone.page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  // Of the pages, the one that is shown is in sight.
  const [bar, here] = await Promise.all(
    ['.pages', '.pages [aria-current]'].map(part => phone.page.locator(part).boundingBox()),
  );
  if (!bar || !here) throw new Error('there is no navigation');
  expect(here.x).toBeGreaterThanOrEqual(bar.x);
  expect(here.x + here.width).toBeLessThanOrEqual(bar.x + bar.width);
  const small = await phone.page
    .locator('.feed-button, .pages a')
    .evaluateAll(buttons => buttons.filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML));
  expect(small).toEqual([]);
  const live = await wide.page
    .locator('[aria-live], [role="status"], [role="alert"], [role="log"]')
    .allTextContents();
  expect(live.filter(text => /\d/.test(text))).toEqual([]); // nothing that speaks has figures in it
});

test('no page complained', () => {
  // The browser itself says that a stream was cut.
  const complaints = all
    .flatMap(({ complaints }) => complaints)
    .filter(text => !/ERR_(INCOMPLETE|EMPTY|CONNECTION)/.test(text));
  expect(complaints).toEqual([]);
});
