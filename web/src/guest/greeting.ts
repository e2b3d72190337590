import { until } from './crossing.ts';
import type { Guest } from './guest.ts';

/** A line, by one of the two; `before` is the seq of the one that it answers. */
interface Line {
  readonly tag: string;
  readonly by: 0 | 1;
  readonly text: string | ((before: number) => string);
}

// The tags are the same in every tab, so that two tabs opened at once still greet only once.
const lines: readonly Line[] = [
  { tag: '6f1c0000-0000-4000-8000-000000000001', by: 0, text: 'Hi Jonas! Is this thing on?' },
  {
    tag: '6f1c0000-0000-4000-8000-000000000002',
    by: 1,
    // Whoever was in the chat before is in the log as a member.
    text: before => `Loud and clear. You are number ${before} in the log, I am number ${before + 1}.`,
  },
  {
    tag: '6f1c0000-0000-4000-8000-000000000003',
    by: 0,
    text: 'Then put me into a tunnel: the switch is above my messages.',
  },
  {
    tag: '6f1c0000-0000-4000-8000-000000000004',
    by: 1,
    text: 'Keep typing while you are in there. So will I.',
  },
];

const pauseMs = 450;

/**
 * Lets the two guests greet each other, once and with real sends, when the room is empty. Each waits
 * for the other's line to be stored, so that they stand in this order.
 */
export async function greet(pair: readonly [Guest, Guest]): Promise<void> {
  const rooms = pair.map(guest => guest.room.status);
  await until(rooms, () => rooms.every(status => status.get().state === 'live'));
  const { list, older } = pair[0].room.messages;
  if (list.get().length > 0 || older.get().hasMore) return;
  let before = 0;
  for (const { tag, by, text } of lines) {
    const body = { text: typeof text === 'string' ? text : text(before) };
    before = (await pair[by].room.messages.send(body, { tag })).seq ?? 0;
    await new Promise(resolve => setTimeout(resolve, pauseMs));
  }
}
