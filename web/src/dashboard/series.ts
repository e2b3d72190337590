/** What a point holds: when it was measured, in epoch milliseconds, and a number for each series. */
export interface Point {
  readonly t: number;
  readonly v: Readonly<Record<string, number>>;
}

/** The points of a window side by side: seconds since the epoch, then the values of each series, null where there is none. */
export interface Columns {
  readonly names: readonly string[];
  readonly times: readonly number[];
  readonly values: readonly (readonly (number | null)[])[];
}

/** What is written above a chart: what it shows, and in which unit. */
export interface Label {
  readonly title: string;
  readonly unit: string;
}

/** A stretch without points is longer than this, in milliseconds, and no line is drawn across it. */
const gapMs = 2_000;
/** So many series are shown. */
const most = 12;

const known: Readonly<Record<string, Label>> = {
  cpu_percent: { title: 'CPU', unit: '% of a core' },
  memory_mib: { title: 'Memory', unit: 'MiB' },
  connections: { title: 'Connections', unit: '' },
  sends_per_s: { title: 'Sends', unit: '/s' },
  written_kib_per_s: { title: 'Written', unit: 'KiB/s' },
  append_ms: { title: 'Commit', unit: 'ms' },
  solar_kw: { title: 'Sun', unit: 'kW' },
  wind_kw: { title: 'Wind', unit: 'kW' },
  load_kw: { title: 'Load', unit: 'kW' },
  battery_percent: { title: 'Battery', unit: '%' },
  frequency_hz: { title: 'Frequency', unit: 'Hz' },
  price_ct: { title: 'Price', unit: 'ct/kWh' },
};
const order = Object.keys(known);

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23', // `hour12: false` is 24:00:00 at midnight in some languages
});

/** The time of day, in seconds since the epoch, as short as it goes: charts and table say it alike. */
export const timeWords = (seconds: number): string => clock.format(seconds * 1_000);

/** Anybody may write to a feed: whether this is a point. */
export function isPoint(data: unknown): data is Point {
  const { t, v } = Object(data) as Partial<Point>;
  return Number.isFinite(t) && typeof v === 'object' && v !== null && Object.values(v).every(Number.isFinite);
}

/** The name of a series for people; one that is not known is written as it is. */
export function labelOf(name: string): Label {
  return (Object.hasOwn(known, name) && known[name]) || { title: name.replaceAll('_', ' '), unit: '' };
}

/** Puts points side by side, by the series of the newest. A clock that went back stands still instead. */
export function columnsOf(points: readonly Point[]): Columns {
  const place = (name: string) => (order.indexOf(name) + order.length + 1) % (order.length + 1);
  const names = Object.keys(points.at(-1)?.v ?? {})
    .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
    .slice(0, most);
  const times: number[] = [];
  const values: (number | null)[][] = names.map(() => []);
  let last = Number.NEGATIVE_INFINITY;
  for (const { t, v } of points) {
    const at = Math.max(t, last);
    if (at - last > gapMs && times.length > 0) {
      times.push((last + 1) / 1_000);
      for (const column of values) column.push(null);
    }
    last = at;
    times.push(at / 1_000);
    for (const [i, name] of names.entries()) {
      values[i]?.push(Object.hasOwn(v, name) ? (v[name] ?? null) : null);
    }
  }
  return { names, times, values };
}

/** The newest, lowest and highest of a column; nothing where it has no value. */
export interface Range {
  readonly latest: number;
  readonly lowest: number;
  readonly highest: number;
}

/** See Range. */
export function rangeOf(column: readonly (number | null)[]): Range | undefined {
  let range: Range | undefined;
  for (const value of column) {
    if (value === null) continue;
    range = {
      latest: value,
      lowest: Math.min(value, range?.lowest ?? value),
      highest: Math.max(value, range?.highest ?? value),
    };
  }
  return range;
}

const formats = [0, 1, 2].map(
  digits =>
    new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

/** A value with as many digits as are worth reading; of one series, always as many. */
export function valueWords(value: number, { highest, lowest }: Pick<Range, 'highest' | 'lowest'>): string {
  const whole = Number.isInteger(lowest) && Number.isInteger(highest) && Number.isInteger(value);
  const size = Math.max(Math.abs(highest), Math.abs(lowest));
  const narrow = highest - lowest < size / 100; // such as a frequency that hardly moves
  return (
    formats[whole || (size >= 1_000 && !narrow) ? 0 : size >= 10 && !narrow ? 1 : 2] as Intl.NumberFormat
  ).format(value);
}

/** Says for how long nothing came; `ms` is undefined where nothing ever did. */
export function silenceWords(ms: number | undefined): string {
  if (ms === undefined) return 'No data';
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `No data for ${seconds} s`;
  return seconds < 7_200
    ? `No data for ${Math.round(seconds / 60)} min`
    : `No data for ${Math.round(seconds / 3_600)} h`;
}

/** A series in one sentence, for who cannot see the chart. */
export function chartWords(name: string, range: Range | undefined, seconds: number): string {
  const { title, unit } = labelOf(name);
  if (!range) return `${title}: no values`;
  const say = (value: number) => valueWords(value, range);
  const of = unit === '' ? '' : ` ${unit}`;
  return `${title}: ${say(range.latest)}${of}. In the last ${Math.round(seconds)} seconds between ${say(range.lowest)} and ${say(range.highest)}.`;
}
