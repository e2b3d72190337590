import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenUp, launch, type Visit, visit } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let here: Visit;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  here = await visit(browser, server.url);
  await here.home.greeted();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('one’s own message is there in the next frame, long before the ack, and keeps its node', async () => {
  const { mira } = here.home;
  await mira.setTunnel(true); // so that no ack can come
  await mira.composer.fill('right away');
  const shown = await mira.composer.evaluate(async box => {
    box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    await new Promise(requestAnimationFrame);
    const rows = [...document.querySelectorAll('.pane[data-guest="Mira"] .row')];
    const row = rows.find(r => r.querySelector('.row-text')?.textContent === 'right away');
    (window as unknown as { kept: Element | undefined }).kept = row;
    return row?.getAttribute('data-delivery');
  });
  expect(shown).toMatch(/^(queued|sending)$/);
  await mira.setTunnel(false);
  const row = mira.row('right away');
  await eventually(() => row.getAttribute('data-delivery')).toBe('sent');
  const same = await row.evaluate(r => r === (window as unknown as { kept: Element }).kept);
  expect(same).toBe(true);
});

test('Enter twice is one message', async () => {
  const { mira } = here.home;
  await mira.composer.fill('only once');
  await mira.composer.press('Enter');
  await mira.composer.press('Enter');
  await eventually(() => mira.row('only once').getAttribute('data-delivery')).toBe('sent');
  expect(await mira.row('only once').count()).toBe(1);
  expect((await server.log('chat:lobby')).filter(e => e.data.text === 'only once')).toHaveLength(1);
});

test('Shift+Enter makes a line, and the message keeps it', async () => {
  const { jonas } = here.home;
  await jonas.composer.fill('first');
  await jonas.composer.press('Shift+Enter');
  await jonas.composer.pressSequentially('second');
  await jonas.composer.press('Enter');
  await eventually(async () => (await jonas.rows()).at(-1)?.text).toBe('first\nsecond');
});

test('a refused message says why, and its text is never lost', async () => {
  const { mira } = here.home;
  const long = 'x'.repeat(70_000); // beyond 64 KiB
  await mira.say(long);
  const failed = mira.root.locator('.row[data-delivery="failed"]');
  await eventually(() => failed.count()).toBe(1);
  expect(await failed.locator('.failure p').textContent()).not.toBe('');
  await failed.getByRole('button', { name: 'Edit' }).click();
  expect(await mira.composer.inputValue()).toBe(long);
  await eventually(() => failed.count()).toBe(0);
  await mira.composer.press('Enter');
  await eventually(() => failed.count()).toBe(1);
  await failed.getByRole('button', { name: 'Discard' }).click();
  await eventually(() => failed.count()).toBe(0);
  await mira.say('and on it goes');
  await eventually(() => mira.row('and on it goes').getAttribute('data-delivery')).toBe('sent');
});

test('whatever is written is shown as written and does nothing', async () => {
  const { mira, jonas } = here.home;
  const texts = [
    '<script>window.ran = 1</script><img src=x onerror="window.ran = 1">',
    'مرحبا بالعالم',
    '👩‍👩‍👧‍👦🏳️‍🌈 done',
    'w'.repeat(400),
    '{"text":"not unpacked"}',
  ];
  for (const text of texts) await mira.say(text);
  await eventually(async () => (await jonas.rows()).slice(-texts.length).map(r => r.text)).toEqual(texts);
  expect(await here.page.evaluate(() => 'ran' in window)).toBe(false);
  const overflow = await here.page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBe(0);
});

test('no page complained', () => {
  // On a slow machine the tunnel above is a long one.
  expect(here.complaints.filter(line => !givenUp.test(line))).toEqual([]);
});
