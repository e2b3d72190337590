import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { launch } from './chromium.ts';
import { type Doc, openDoc } from './doc.ts';
import { eventually } from './home.ts';
import { keptText } from './kept.ts';
import { Server } from './server.ts';

// Number 29 of the table in README.md, and what 11, 12, 31, 32, 33 and 34 mean on this page. The tests are one story in two windows.

let server: Server;
let browser: Browser;
let mira: Doc;
let jonas: Doc;

const wide = { viewport: { width: 1280, height: 860 } };
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  [mira, jonas] = await Promise.all([
    openDoc(browser, server.url, 'Mira', wide),
    openDoc(browser, server.url, 'Jonas', { ...wide, colorScheme: 'dark' }),
  ]);
  await Promise.all([mira.ready(), jonas.ready()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Waits until all show the same, and all of it is saved; gives it. */
async function same(...docs: readonly Doc[]): Promise<string> {
  const all = docs.length > 0 ? docs : [mira, jonas];
  await eventually(async () => {
    const states = await Promise.all(all.map(doc => doc.saved()));
    const texts = new Set(await Promise.all(all.map(doc => doc.content())));
    return states.every(state => state === 'saved') ? texts.size : states;
  }).toBe(1);
  return (all[0] as Doc).content();
}

/** Leaves as a person does, where all is saved: a question would keep the page. */
async function leaveUnasked({ page }: Doc): Promise<void> {
  const gone = page.waitForEvent('close');
  await page.close({ runBeforeUnload: true });
  await gone;
}

test('the text of an empty document is there once, of however many who open it at once', async () => {
  expect((await same()).match(/# Summer party/g)).toHaveLength(1);
});

test('two write in one paragraph at once: all of both is there, in both, and each sees the other’s caret by name', async () => {
  await mira.goBehind('writes here');
  await jonas.goBehind('two windows');
  await Promise.all([
    mira.page.keyboard.type(', all of us,', { delay: 15 }),
    jonas.page.keyboard.type(' (or three 🎉)', { delay: 15 }),
  ]);
  const text = await same();
  expect(text).toContain('Everybody writes here, all of us, at once.');
  expect(text).toContain('**two windows (or three 🎉)**');
  await eventually(() => mira.carets.locator('.caret-name').allTextContents()).toEqual(['Jonas']);
  await eventually(() => jonas.carets.locator('.caret-name').allTextContents()).toEqual(['Mira']);
  // It is where Jonas is: behind what he wrote.
  const before = await mira.carets.evaluate(caret => {
    const range = document.createRange();
    range.setStart(caret.closest('.cm-line') as Element, 0);
    range.setEndBefore(caret);
    return range.toString();
  });
  expect(before).toMatch(/\(or three 🎉\)$/);
});

test('keys do what they do in any text, beside the other’s caret too', async () => {
  const { keyboard } = mira.page;
  await mira.goBehind('(or three 🎉)'); // where Jonas is
  await keyboard.press('Backspace');
  await keyboard.press('Backspace');
  await keyboard.type('👋)');
  await keyboard.press('ArrowLeft');
  await keyboard.press('ArrowLeft');
  await keyboard.press('Delete');
  await eventually(() => jonas.content()).toContain('(or three )');
  await keyboard.press('Shift+Home');
  await keyboard.press('ArrowLeft');
  await keyboard.press('Control+ArrowRight');
  await keyboard.type('!');
  await eventually(() => jonas.content()).toContain('Everybody! writes');
  await keyboard.press('Control+End');
  await keyboard.type('- one');
  await keyboard.press('Enter');
  await keyboard.type('two');
  await keyboard.press('Enter');
  await keyboard.press('Enter');
  await keyboard.type('end');
  await keyboard.press('ArrowUp');
  await keyboard.press('End');
  await keyboard.press('Tab');
  await keyboard.type('x');
  expect(await same()).toMatch(/\n- one\n- two {2}x\nend$/);
});

test('32: Tab leaves the text after Escape', async () => {
  await mira.page.keyboard.press('Escape');
  await mira.page.keyboard.press('Shift+Tab');
  await eventually(() => mira.redo.evaluate(redo => redo === document.activeElement)).toBe(true);
});

test('undo takes back one’s own alone, by keys and by buttons', async () => {
  await mira.writeBehind('Food', ' and drink');
  await eventually(() => jonas.content()).toContain('Food and drink:');
  await jonas.writeBehind('drink', ', much of it');
  await eventually(() => mira.content()).toContain('Food and drink, much of it:');
  await mira.text.press('Control+z');
  await eventually(() => jonas.content()).toContain('Food, much of it:');
  await mira.redo.click();
  await eventually(() => jonas.content()).toContain('Food and drink, much of it:');
  await jonas.undo.click();
  expect(await same()).toContain('Food and drink:');
});

test('29: in a tunnel it never says that it is saved, and what was written on both sides is merged', async () => {
  const opened = await fetch(`${server.url}/v1/dev/tunnels`, { method: 'POST' });
  const { url, control } = (await opened.json()) as { url: string; control: string };
  const hold = (held: boolean) =>
    fetch(new URL(control, server.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ open: held }),
    });
  const nora = await (await openDoc(browser, url, 'Nora', wide)).ready();
  await same(mira, jonas, nora);
  await hold(true);
  const chip = await nora.noteChip();
  await nora.writeBehind('Music', ' by Nora');
  await mira.writeBehind('Music', ' of Mira');
  await eventually(() => nora.saved()).not.toBe('saved');
  await eventually(() => jonas.content()).toContain('Music of Mira');
  expect((await chip()).slice(1)).not.toContain('saved');
  expect(await jonas.content()).not.toContain('Nora');
  await hold(false);
  expect(await same(mira, jonas, nora)).toMatch(/Music( by Nora of Mira| of Mira by Nora): /);
  await nora.page.context().close();
  await eventually(() => mira.carets.locator('.caret-name').allTextContents()).toEqual(['Jonas']);
  expect(nora.complaints).toEqual([]);
});

test('11, 12, 29: what is written while the server is away is asked about, survives a reload, and is merged', async () => {
  await server.kill();
  await eventually(() => jonas.saved()).not.toBe('saved');
  await mira.page.context().setOffline(true);
  await eventually(() => mira.saved()).toBe('offline');
  await eventually(() => mira.status.textContent()).toMatch(/^Offline\. /); // it is read aloud
  await mira.writeBehind('until ten', ' or eleven');
  await jonas.writeBehind('The hall', ' and the garden');
  const { page } = jonas;
  await eventually(() => keptText(page)).toContain('The hall and the garden');
  const asked = page.waitForEvent('dialog');
  await page.close({ runBeforeUnload: true });
  const question = await asked;
  expect(question.type()).toBe('beforeunload');
  await question.dismiss();
  page.once('dialog', dialog => dialog.accept());
  await page.reload().catch(() => {}); // there is no server that has the page
  await eventually(async () => page.url()).toMatch(/^chrome-error:/); // which is said before the page has gone
  await server.restart();
  await page.goto(`${server.url}/doc?as=Jonas`);
  await mira.page.context().setOffline(false);
  const text = await same();
  await eventually(() => mira.status.textContent()).toBe('All changes are saved.');
  expect(text).toContain('until ten or eleven');
  expect(text).toContain('The hall and the garden');
  expect(text.match(/# Summer party/g)).toHaveLength(1);
});

test('31, 34: a phone has all of it, with large targets; axe finds nothing serious in light and in dark', async () => {
  const aiko = await (await openDoc(browser, server.url, 'Aiko', phone)).ready();
  await same(aiko, mira);
  await mira.goBehind('Summer party');
  await aiko.carets.filter({ hasText: 'Mira' }).waitFor();
  expect(await aiko.page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  const small = await aiko.page
    .locator('main button, .pages a')
    .evaluateAll(all => all.filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML));
  expect(small).toEqual([]);
  expect(await seriousFindings(aiko.page)).toEqual([]);
  expect(await seriousFindings(jonas.page)).toEqual([]);
  expect(aiko.complaints).toEqual([]);
  await aiko.page.context().close();
});

test('29: what is saved is left unasked; into a room that was made anew nothing old is pushed, and the copy can be had', async () => {
  const { page } = mira;
  await mira.writeBehind('Summer party', ' of the old room');
  const old = await same();
  await leaveUnasked(jonas);
  const headers = { Authorization: `Bearer ${await server.token()}` };
  const removed = await fetch(`${server.url}/v1/rooms/doc:plan`, { method: 'DELETE', headers });
  expect(removed.status).toBe(200);
  await mira.note.filter({ hasText: 'deleted and made anew' }).waitFor();
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    mira.note.getByRole('button', { name: 'Download' }).click(),
  ]);
  expect(await readFile(await file.path(), 'utf8')).toBe(old);
  await mira.text.press('x'); // it is read alone
  expect(await mira.content()).toBe(old);
  await mira.note.getByRole('button', { name: 'open the new one' }).click();
  await eventually(() => mira.content()).toMatch(/^# Summer party\n/);
  await mira.ready();
  await page.reload();
  await mira.ready();
  expect(await mira.content()).toMatch(/^# Summer party\n/);
});

test('no page complained, but for the server that was away', () => {
  const away =
    /ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|ERR_INTERNET_DISCONNECTED|WebSocket connection to/;
  expect([...mira.complaints, ...jonas.complaints].filter(text => !away.test(text))).toEqual([]);
});
