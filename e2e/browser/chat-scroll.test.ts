import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chat, openChat } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// Numbers are those of the table in README.md.

const stored = 400;
const text = (n: number) =>
  `number ${n}${n % 9 === 0 ? `, ${'longer than the others '.repeat(8)}` : ''}`.trim();

let server: Server;
let browser: Browser;
let mira: Chat;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await server.post(
    'chat:lobby',
    'Nora',
    Array.from({ length: stored }, (_, i) => text(i + 1)),
  );
  mira = await (await openChat(browser, server.url)).ready();
  await mira.row(text(stored)).waitFor();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Turns the wheel over the conversation. */
async function wheel(chat: Chat, by: number): Promise<void> {
  const box = await chat.log.boundingBox();
  if (!box) throw new Error('there is no conversation');
  await chat.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await chat.page.mouse.wheel(0, by);
}

/** Scrolls on frame by frame until the last of all seqs is there: those that were, and what ever was there and is not a part of all. */
function walkToEnd(chat: Chat, all: readonly number[]): Promise<{ passed: number[]; torn: number[][] }> {
  return chat.page.evaluate(
    all =>
      new Promise<{ passed: number[]; torn: number[][] }>(done => {
        const passed = new Set<number>();
        const torn: number[][] = [];
        const look = () => {
          const here = [...document.querySelectorAll<HTMLElement>('.bubble-row')].map(row =>
            Number(row.dataset.seq),
          );
          const from = all.indexOf(here[0] ?? 0);
          if (here.some((seq, i) => seq !== all[from + i])) torn.push(here);
          for (const seq of here) passed.add(seq);
          if (passed.has(all.at(-1) ?? 0)) return done({ passed: [...passed], torn });
          document.querySelector('[role=log]')?.scrollBy(0, 450);
          requestAnimationFrame(look);
        };
        look();
      }),
    all,
  );
}

/** The seqs in the document. */
const seqs = async (chat: Chat) => (await chat.shown()).map(row => row.seq);

test('a room with a past opens at its end, and nothing in it is news', async () => {
  await eventually(mira.fromEnd).toBe(0);
  expect(await mira.page.locator('.divider-new').count()).toBe(0);
  expect(await mira.page.locator('.talk-new').count()).toBe(0);
});

test('20: older pages come above what is being read, which does not move by a pixel', async () => {
  const moves = await mira.page.evaluate(
    ([first]) =>
      new Promise<number[]>(done => {
        const log = document.querySelector('[role=log]') as HTMLElement;
        const moves: number[] = [];
        let known = new Map<string, number>();
        let scrolled = log.scrollTop;
        // In each frame, what is in sight must have moved by what was scrolled, however much was put above.
        const look = () => {
          const now = new Map<string, number>();
          const { top, bottom } = log.getBoundingClientRect();
          for (const row of document.querySelectorAll<HTMLElement>('.bubble-row[data-seq]')) {
            const { top: y, bottom: end } = row.getBoundingClientRect();
            if (end > top && y < bottom) now.set(row.dataset.seq ?? '', y);
          }
          const shared = [...now].filter(([seq]) => known.has(seq));
          const differences = shared.map(([seq, y]) => Math.round(y - (known.get(seq) ?? 0)));
          // All in sight move together, by no more than one step of the wheel.
          if (new Set(differences).size > 1) moves.push(...differences);
          for (const d of differences) if (Math.abs(d) > 300) moves.push(d);
          known = now;
          scrolled = log.scrollTop;
          if (document.querySelector(`.bubble-row[data-seq="${first}"]`)) return done(moves);
          log.scrollTop = scrolled - 120;
          requestAnimationFrame(look);
        };
        look();
      }),
    [1] as const,
  );
  expect(moves).toEqual([]);
  await wheel(mira, -2_000);
  await mira.page.getByText('The room begins here.').waitFor();
  await eventually(() => mira.log.evaluate(box => box.scrollTop)).toBe(0);
});

test('21: a new message does not pull the reader away, and is one press away', async () => {
  const rests = await mira.log.evaluateHandle(box => {
    const rests = { away: false };
    box.addEventListener('scrollend', () => {
      if (box.scrollTop > 0) rests.away = true;
    });
    return rests;
  });
  await wheel(mira, 300);
  await eventually(() => rests.jsonValue()).toEqual({ away: true }); // the wheel has run out
  const reading = mira.rows.nth(3);
  const tag = await reading.getAttribute('data-tag');
  const before = await reading.boundingBox();
  await server.post('chat:lobby', 'Jonas', ['are you there?', 'hello?', 'fine']);
  const news = mira.page.getByRole('button', { name: '3 new messages' });
  await news.waitFor();
  await eventually(() => mira.status.textContent()).toBe('3 new messages below.');
  expect(await mira.page.locator(`[data-tag="${tag}"]`).boundingBox()).toEqual(before);
  expect(await mira.log.getAttribute('aria-live')).toBe('off');
  await news.click();
  await eventually(mira.fromEnd).toBe(0);
  await eventually(() => news.count()).toBe(0);
  await server.post('chat:lobby', 'Jonas', ['there you are']);
  await mira.row('there you are').waitFor();
  await eventually(mira.fromEnd).toBe(0);
  await eventually(() => mira.log.getAttribute('aria-live')).toBe('polite');
});

test('21: whoever is at the end stays there when the window gets a little lower, or what is written is high', async () => {
  await mira.context.setOffline(true); // no answer brings the list to its end again
  for (let i = 1; i <= 6; i++)
    await mira.say(`at once, number ${i}\n${'and more of it '.repeat(i * 9)}`.trim());
  const last = mira.rows.last();
  await eventually(() => last.textContent()).toContain('at once, number 6');
  await eventually(mira.fromEnd).toBe(0);
  for (const height of [870, 850, 900]) {
    await mira.page.setViewportSize({ width: 1280, height });
    await eventually(mira.fromEnd).toBe(0);
  }
  await mira.context.setOffline(false);
  await eventually(() => last.getAttribute('data-delivery')).toBe('sent');
});

test('22: a link far back opens around its message, and can be walked both ways', async () => {
  const chat = await (await openChat(browser, server.url, { seq: 200 })).ready();
  const linked = chat.page.locator('.bubble-row[data-linked="true"]');
  await linked.waitFor();
  expect(await linked.getAttribute('data-seq')).toBe('200');
  await eventually(async () => {
    const [box, log] = [await linked.boundingBox(), await chat.log.boundingBox()];
    return box && log && box.y > log.y && box.y + box.height < log.y + log.height;
  }).toBe(true);
  // Back past the page that the link opened.
  await eventually(async () => {
    await wheel(chat, -1_500);
    return (await seqs(chat))[0];
  }).toBeLessThan(120);
  // Forward, through where the newest begin, to the end: each row behind the one before it.
  const all = (await server.messages('chat:lobby')).map(({ seq }) => seq);
  const { passed, torn } = await walkToEnd(chat, all);
  expect(torn).toEqual([]);
  expect(all.filter(seq => seq >= 120 && !passed.includes(seq))).toEqual([]);
  await chat.say('joined at the end');
  await eventually(chat.delivery('joined at the end')).toBe('sent');
  await eventually(chat.fromEnd).toBe(0);
  expect(chat.complaints).toEqual([]);
});

test('22: the time of a message is its link; the way back is one press', async () => {
  const chat = await (await openChat(browser, server.url, { seq: 50 })).ready();
  await chat.row(text(50)).waitFor();
  await chat.row(text(51)).getByRole('link').click();
  await eventually(() => chat.page.locator('.bubble-row[data-linked="true"]').getAttribute('data-seq')).toBe(
    '51',
  );
  await eventually(async () => new URL(chat.page.url()).hash).toBe('#51');
  await chat.page.getByRole('button', { name: 'To the latest' }).click();
  await chat.page.locator(`[data-seq="${stored + 10}"]`).waitFor();
  await eventually(chat.fromEnd).toBe(0);
  await eventually(async () => new URL(chat.page.url()).hash).toBe('');
  await chat.page.goBack();
  await eventually(() => chat.page.locator('.bubble-row[data-linked="true"]').count()).toBe(1);
});

test('22: a link that cannot be followed says so, and the latest are one press away', async () => {
  const chat = await (await openChat(browser, server.url)).ready();
  await chat.context.route('**/events?*', route => route.abort());
  await chat.page.evaluate(() => {
    location.hash = '#7';
  });
  await chat.page.getByText('The linked message cannot be loaded').waitFor();
  await chat.page.getByRole('button', { name: 'To the latest' }).click();
  await chat.page.locator(`[data-seq="${stored + 10}"]`).waitFor();
  await eventually(chat.fromEnd).toBe(0);
});

test('the page complained of nothing but the network that was taken away', () => {
  expect(mira.complaints.filter(c => !/ERR_INTERNET_DISCONNECTED/.test(c))).toEqual([]);
});
