// Takes a picture of every state of the dashboard, as chat-screens.ts does of the chat, and says how many frames are drawn with six charts at
// ten points a second: to be looked at, not a test.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { launch } from './chromium.ts';
import { openDashboard, Producer } from './dashboard.ts';
import { framesOf } from './frames.ts';
import { eventually } from './home.ts';
import { type Camera, camera } from './pictures.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let picture: Camera;
let producer: Producer;

beforeAll(async () => {
  [picture, server, browser] = await Promise.all([camera('dashboard'), Server.start(), launch()]);
  producer = new Producer(server, 'feed:demo');
});
afterAll(async () => {
  await producer?.kill();
  await browser?.close();
  await server?.stop();
});

test('charts, held, table, nothing there, stale', async () => {
  const plant = await openDashboard(browser, server.url, 'feed:demo');
  await eventually(() => plant.charts.count()).toBe(6);
  await eventually(() => plant.page.locator('canvas').count()).toBe(6);
  console.log(await framesOf(plant.page));
  await picture(plant, 'charts');
  await plant.charts.nth(1).hover({ position: { x: 180, y: 120 } });
  await picture(plant, 'held');
  await plant.table.click();
  await picture(plant, 'table');
  await plant.table.click();
  const nothing = await openDashboard(browser, server.url, 'feed:nothing');
  await picture(nothing, 'nothing');
  const own = await openDashboard(browser, server.url, 'feed:server');
  await eventually(() => own.charts.count()).toBe(6);
  await picture(own, 'server');
  await producer.kill();
  await eventually(() => plant.badge.textContent()).toMatch(/^No data/);
  await picture(plant, 'stale');
  const { page } = await openDashboard(browser, server.url, '');
  await page.goto(server.url);
  await page.locator('.shapes').scrollIntoViewIfNeeded();
  await picture({ page }, 'home', () => page.locator('.shapes').scrollIntoViewIfNeeded());
});
