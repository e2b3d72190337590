import { describe, expect, it } from 'vitest';
import {
  chartWords,
  columnsOf,
  isPoint,
  labelOf,
  rangeOf,
  silenceWords,
  timeWords,
  valueWords,
} from '../src/dashboard/series.ts';

const at = (t: number, v: Record<string, number>) => ({ t, v });

describe('points side by side', () => {
  it('are columns by the series of the newest, those that are known first', () => {
    const columns = columnsOf([
      at(1_000, { wind_kw: 1, gone: 5 }),
      at(1_100, { zeal: 3, wind_kw: 2, solar_kw: 4, __proto__x: 1 }),
    ]);
    expect(columns).toEqual({
      names: ['solar_kw', 'wind_kw', '__proto__x', 'zeal'],
      times: [1, 1.1],
      values: [
        [null, 4],
        [1, 2],
        [null, 1],
        [null, 3],
      ],
    });
    expect(columnsOf([])).toEqual({ names: [], times: [], values: [] });
  });

  it('have a break where none came for long, and stand still where a clock went back', () => {
    const columns = columnsOf([
      at(1_000, { a: 1 }),
      at(900, { a: 2 }),
      at(3_001, { a: 3 }),
      at(5_000, { a: 4 }),
    ]);
    expect(columns.times).toEqual([1, 1, 1.001, 3.001, 5]);
    expect(columns.values).toEqual([[1, 2, null, 3, 4]]);
  });

  it('are at most twelve series', () => {
    const v = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`s${i}`, i]));
    expect(columnsOf([at(1, v)]).names).toHaveLength(12);
  });

  it.each([
    [null],
    [1],
    [{}],
    [{ t: 1 }],
    [{ t: '1', v: {} }],
    [{ t: 1, v: null }],
    [{ t: 1, v: { a: '1' } }],
    [{ t: Number.NaN, v: {} }],
  ])('are no points: %j', data => expect(isPoint(data)).toBe(false));
});

describe('words of a chart', () => {
  it('say a value with as many digits as are worth reading, always as many in one series', () => {
    const say = (...values: number[]) => {
      const range = rangeOf(values);
      return range && valueWords(range.latest, range);
    };
    expect([say(3, 2), say(1.5, 2), say(70, 12.34), say(2_000, 1_234.5)]).toEqual([
      '2',
      '2.00',
      '12.3',
      '1,235',
    ]);
    expect(say(49.98, 50.02)).toBe('50.02'); // it hardly moves
    expect(rangeOf([null])).toBeUndefined();
  });

  it('are one sentence for who cannot see it', () => {
    expect(chartWords('cpu_percent', { latest: 12.34, lowest: 0.5, highest: 20 }, 49.9)).toBe(
      'CPU: 12.3 % of a core. In the last 50 seconds between 0.5 and 20.0.',
    );
    expect(chartWords('my_series', undefined, 0)).toBe('my series: no values');
    expect([undefined, 6_400, 119_400, 150_000, 7_200_000].map(silenceWords)).toEqual([
      'No data',
      'No data for 6 s',
      'No data for 119 s',
      'No data for 3 min',
      'No data for 2 h',
    ]);
    expect(labelOf('constructor')).toEqual({ title: 'constructor', unit: '' });
  });
});

it('a time of day is short, also at midnight', () => {
  expect(timeWords(new Date(2026, 0, 1, 0, 0, 5).getTime() / 1_000)).toBe('00:00:05');
  expect(timeWords(new Date(2026, 0, 1, 16, 46, 50).getTime() / 1_000)).toBe('16:46:50');
});
