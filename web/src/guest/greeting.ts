import { until } from './crossing.ts';
import type { Guest } from './guest.ts';

// The tags are the same in every tab, so that two tabs opened at once still greet only once.
const lines = [
  { tag: '6f1c0000-0000-4000-8000-000000000001', by: 0, text: 'Hi Jonas! Is this thing on?' },
  {
    tag: '6f1c0000-0000-4000-8000-000000000002',
    by: 1,
    text: 'Loud and clear. You are number 1 in the log, I am number 2.',
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
] as const;

const pauseMs = 450;

/**
 * Lets the two guests greet each other, once and with real sends, when the room is empty. Each waits
 * for the other's line to be stored, so that they stand in this order.
 */
export async function greet(pair: readonly [Guest, Guest]): Promise<void> {
  const rooms = pair.map(guest => guest.room.status);
  await until(rooms, () => rooms.every(status => status.get().state === 'live'));
  if (pair[0].room.status.get().seq > 0) return;
  for (const line of lines) {
    await pair[line.by].room.messages.send({ text: line.text }, { tag: line.tag });
    await new Promise(resolve => setTimeout(resolve, pauseMs));
  }
}
