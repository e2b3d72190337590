// Takes a picture of every state of the page of pointers, as chat-screens.ts does of the chat, and says how many frames are
// drawn with thirty people: to be looked at, not a test.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { launch } from './chromium.ts';
import { openCursors } from './cursors.ts';
import { eventually } from './home.ts';
import { type Camera, camera } from './pictures.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let picture: Camera;

beforeAll(async () => {
  [picture, server, browser] = await Promise.all([camera('cursors'), Server.start(), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('alone, three people, thirty more', async () => {
  const mira = await (await openCursors(browser, server.url, 'Mira')).ready();
  await mira.alone.waitFor();
  await picture(mira, 'alone');
  const jonas = await (await openCursors(browser, server.url, 'Jonas')).ready();
  await jonas.pointAt({ x: 0.5, y: 0.76 });
  const aiko = await (await openCursors(browser, server.url, 'Aiko')).ready();
  await aiko.pointAt({ x: 0.96, y: 0.5 });
  await aiko.page.mouse.down();
  const priya = await (await openCursors(browser, server.url, 'Priya Ramanathan-Featherstonehaugh')).ready();
  await priya.pointAt({ x: 0.2, y: 0.3 });
  await mira.pointer('Priya Ramanathan-Featherstonehaugh').waitFor({ state: 'attached' });
  await mira.frame.focus();
  for (let i = 0; i < 5; i++) await mira.page.keyboard.press('Shift+ArrowLeft');
  await picture(mira, 'three');
  await mira.page.locator('.pointer[data-state="idle"]').nth(2).waitFor({ state: 'attached' });
  await picture(mira, 'idle');
  await mira.page.getByRole('switch').click();
  await eventually(() => mira.page.locator('.pointer').count()).toBe(34);
  await picture(mira, 'thirty');
  for (const context of browser.contexts()) await context.close();
});

test('how many frames are drawn with thirty people', async () => {
  const mira = await (await openCursors(browser, server.url, 'Mira')).ready();
  await mira.page.getByRole('switch').click();
  await eventually(() => mira.page.locator('.pointer').count()).toBe(30);
  const devtools = await mira.page.context().newCDPSession(mira.page);
  await devtools.send('Performance.enable');
  const spent = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  };
  const before = await spent();
  const spans = await mira.page.evaluate(
    () =>
      new Promise<number[]>(done => {
        const spans: number[] = [];
        let last = performance.now();
        const draw = (now: number) => {
          spans.push(now - last);
          last = now;
          if (spans.length < 300) requestAnimationFrame(draw);
          else done(spans.slice(1).sort((a, b) => a - b));
        };
        requestAnimationFrame(draw);
      }),
  );
  const at = (share: number) => spans[Math.floor((spans.length - 1) * share)]?.toFixed(1);
  const total = spans.reduce((sum, span) => sum + span, 0);
  const after = await spent();
  const share = (name: string) =>
    `${((100_000 * (Number(after[name]) - Number(before[name]))) / total).toFixed(1)} %`;
  console.log(
    `${await mira.page.locator('.readout').textContent()}; over 5 s ${((1000 * spans.length) / total).toFixed(1)} frames/s, ` +
      `between frames p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms; of one core, scripts ${share('ScriptDuration')}, styles ${share('RecalcStyleDuration')}, ` +
      `layout ${share('LayoutDuration')}, all tasks of the page ${share('TaskDuration')}`,
  );
});
