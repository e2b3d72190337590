// A client of the npm package in Node that queues sends while there is no server, and writes what became of each as
// history lines: `node outbox.mjs URL TOKEN ROOM COUNT`, to standard output. It ends when every send has come to an end.
import { createHash } from 'node:crypto';
import { WebSocket } from 'ws';
import { createClient } from '../../client/dist/index.js';

const [url, token, room, count] = process.argv.slice(2);
const client = createClient({ url, token, WebSocket });
const messages = client.room(room).messages;
const now = () => Number(process.hrtime.bigint());
const line = fields =>
  process.stdout.write(
    `${JSON.stringify({ t_mono: now(), client: 'outbox', author: 'outbox', room, ...fields })}\n`,
  );

/** What the server refuses for good, each for another reason, among what it takes. */
const poison = new Map([
  [100, { text: 'poison \u0000' }],
  [500, { text: 'x'.repeat(70_000) }],
]);
const sends = [];
for (let i = 1; i <= Number(count); i++) {
  const data = poison.get(i) ?? { text: `queued ${i}` };
  const hash = createHash('sha256').update(JSON.stringify(data)).digest('hex').slice(0, 16);
  const handle = messages.send(data);
  const fields = { tag: handle.tag, payload_hash: hash, order: i };
  line({ op: 'queue', ...fields });
  line({ op: 'invoke', ...fields });
  sends.push(
    handle.then(
      stored => line({ op: 'settled', tag: handle.tag, result: 'ok', seq: stored.seq }),
      refused => line({ op: 'settled', tag: handle.tag, result: 'fail', code: refused.code }),
    ),
  );
}
process.stderr.write('queued\n');
client.connect().catch(() => {});
await Promise.all(sends);
const failed = messages.list.get().filter(message => message.delivery === 'failed');
if (failed.length !== poison.size)
  throw new Error(`${failed.length} failed messages are shown, not ${poison.size}`);
await client.close();
