import { useEffect, useState } from 'react';
import type { Live } from './live.ts';
import { type Columns, labelOf, rangeOf, timeWords, valueWords } from './series.ts';

/** How often the table is written anew, in milliseconds: numbers that change faster cannot be read. */
const everyMs = 1_000;
/** How many points it shows, a second apart. */
const rows = 20;

/** The same data as a table: the newest point, and one of each second before it. */
export function Values({ live }: { readonly live: Live }) {
  const [columns, setColumns] = useState(live.get);
  useEffect(() => {
    const writing = setInterval(() => setColumns(live.get()), everyMs);
    return () => clearInterval(writing);
  }, [live]);
  const { names, values } = columns;
  const ranges = values.map(column => rangeOf(column));
  const say = (series: number, place: number) => {
    const value = values[series]?.[place];
    const range = ranges[series];
    return value === null || value === undefined || !range ? '–' : valueWords(value, range);
  };
  return (
    <section
      className="values"
      aria-label="Values"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways on a phone
      tabIndex={0}
    >
      <table>
        <caption>One row a second, the newest first.</caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {names.map(name => (
              <th key={name} scope="col">
                {labelOf(name).title} <span>{labelOf(name).unit}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {placesOf(columns).map(place => (
            <tr key={place}>
              <th scope="row">{timeWords(columns.times[place] ?? 0)}</th>
              {names.map((name, series) => (
                <td key={name}>{say(series, place)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Which points are shown: the last of each second, the newest first. */
export function placesOf({ times, values }: Columns): number[] {
  const places: number[] = [];
  let second = Number.POSITIVE_INFINITY;
  for (let place = times.length - 1; place >= 0 && places.length < rows; place--) {
    const at = Math.floor(times[place] ?? 0);
    if (at >= second || values.every(column => column[place] === null)) continue;
    second = at;
    places.push(place);
  }
  return places;
}
