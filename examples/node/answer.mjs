// Types an answer into a room, part by part (docs/streaming.md). Every request may fail and is made again; nothing is said twice.
// usage: node answer.mjs http://127.0.0.1:8080 chat:demo "The answer." — with ROOMLOG_TOKEN, or against `roomlog dev`.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const [server = 'http://127.0.0.1:8080', room = 'chat:demo', answer = 'An answer that types itself.'] = process.argv.slice(2);

async function devToken() {
  const response = await fetch(`${server}/v1/dev/token?user=assistant`);
  if (!response.ok) throw new Error(`no token: ${await response.text()}`);
  return (await response.json()).token;
}

const token = process.env.ROOMLOG_TOKEN ?? (await devToken());

/** Makes a request until it is answered for good. */
async function request(method, path, body) {
  for (let tries = 0; ; tries++) {
    try {
      const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) };
      const response = await fetch(`${server}/v1/rooms/${encodeURIComponent(room)}/streams${path}`, {
        method,
        headers,
        body: body && JSON.stringify(body),
      });
      const told = await response.json();
      if (response.ok || !told.retryable) return { ok: response.ok, ...told };
    } catch (error) {
      if (tries >= 20) throw error; // the lease has ended by then
    }
    await sleep(Math.random() * Math.min(100 * 2 ** tries, 2000));
  }
}

const begun = await request('POST', '', { tag: randomUUID(), data: { text: '' } });
if (!begun.ok) throw new Error(`${begun.code}: ${begun.title}`);
const at = `/${begun.seq}`;

const whole = Buffer.from(answer);
const words = answer.match(/\S+\s*/gu) ?? [];
let offset = 0;
let end = 0;

/** Says what there is up to the end of a word, from where the server is. */
async function say() {
  while (offset < end) {
    const part = await request('POST', at, { offset, text: whole.subarray(offset, end).toString() });
    if (part.ok) offset = part.offset;
    else if (part.code === 'bad_position') offset = part.limit ?? 0; // another node has less: the rest is said again
    else throw new Error(`${part.code}: ${part.title}`);
  }
}

for (const word of words) {
  end += Buffer.byteLength(word);
  await say();
  await sleep(80);
}
let finished;
do {
  await say();
  finished = await request('POST', `${at}/finish`, { offset: end });
  if (finished.code === 'bad_position') offset = finished.limit ?? 0;
} while (finished.code === 'bad_position');
if (!finished.ok) throw new Error(`${finished.code}: ${finished.title}`);
console.log(`message ${begun.seq} was finished by event ${finished.seq}`);
