/** The server's clock as far as this device knows it: its own, corrected by what the server said. */
export class ServerClock {
  #aheadMs = 0;

  /** Takes what the server's clock said (`serverMs`) when this device's said `deviceMs`, both epoch milliseconds. */
  set(serverMs: number, deviceMs: number): void {
    this.#aheadMs = serverMs - deviceMs;
  }

  /** The server's time in epoch milliseconds. */
  now(): number {
    return Date.now() + this.#aheadMs;
  }

  /** The server's time at which this device's clock said `at`. */
  fromDevice(at: Date): Date {
    return new Date(at.getTime() + this.#aheadMs);
  }
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const date = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dateOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The time of day in the reader's zone, such as 14:05. */
export function clockTime(at: Date): string {
  return timeOfDay.format(at);
}

/** Date and time in full, in the reader's zone. */
export function fullTime(at: Date): string {
  return inFull.format(at);
}

/** How long ago `at` is: "just now", "5 min. ago", "2 hr. ago"; from yesterday on, the day. Never in the future. */
export function ago(at: Date, now: number): string {
  const age = now - at.getTime();
  if (age < minuteMs) return 'just now';
  if (age < hourMs) return relative.format(-Math.floor(age / minuteMs), 'minute');
  if (dayNumber(at) === dayNumber(new Date(now))) return relative.format(-Math.floor(age / hourMs), 'hour');
  return dayName(at, now);
}

/** A day as a heading: Today, Yesterday, "Monday, 3 August", or with its year when it is another. */
export function dayName(at: Date, now: number): string {
  const today = new Date(now);
  const days = dayNumber(today) - dayNumber(at);
  if (days <= 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return (at.getFullYear() === today.getFullYear() ? date : dateOfYear).format(at);
}

/** The number of a day in the reader's zone: consecutive days have consecutive numbers, whatever the season does. */
export function dayNumber(at: Date): number {
  return Math.round(Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) / (24 * hourMs));
}
