import { type KeyboardEvent, useEffect, useRef } from 'react';
import type { Live } from './live.ts';
import type { Plot } from './plot.ts';
import { chartWords, labelOf, rangeOf, valueWords } from './series.ts';

/** How many seconds a chart shows. */
export const span = 50;
/** How often the words that describe a chart are made anew, in milliseconds: they are for reading, not for following. */
const wordsMs = 2_000;

const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };

/** One series: its newest value, its range, and its line. React draws the frame; what moves is written past it. */
export function Chart({ name, live }: { readonly name: string; readonly live: Live }) {
  const { title, unit } = labelOf(name);
  const group = useRef<HTMLElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const value = useRef<HTMLSpanElement>(null);
  const range = useRef<HTMLSpanElement>(null);
  const plot = useRef<Plot | undefined>(undefined);
  useEffect(() => {
    let ended = false;
    let at: number | null = null;
    let described = 0;
    const write = () => {
      const { names, times, values } = live.get();
      const column = values[names.indexOf(name)];
      const found = column && rangeOf(column);
      if (!column || !found) return;
      const pointed = at === null ? null : column[at];
      if (value.current) value.current.textContent = valueWords(pointed ?? found.latest, found);
      if (range.current)
        range.current.textContent = `${valueWords(found.lowest, found)} – ${valueWords(found.highest, found)}`;
      const now = performance.now();
      if (group.current && (described === 0 || now - described > wordsMs)) {
        described = now;
        const seconds = Math.min((times.at(-1) ?? 0) - (times[0] ?? 0), span);
        group.current.ariaLabel = chartWords(name, found, seconds);
      }
      return column;
    };
    const draw = () => {
      const column = write();
      if (column) plot.current?.show(live.get().times, column, span);
    };
    const stop = live.subscribe(draw);
    const stopTheme = whenThemeChanges(() => plot.current?.recolour());
    draw();
    void import('./plot.ts').then(({ makePlot }) => {
      if (ended || !host.current) return;
      plot.current = makePlot(host.current, index => {
        at = index;
        write();
      });
      draw();
    });
    return () => {
      ended = true;
      stop();
      stopTheme();
      plot.current?.end();
      plot.current = undefined;
    };
  }, [live, name]);
  const onKey = (event: KeyboardEvent) => {
    const by = steps[event.key];
    if (event.key === 'Escape') plot.current?.step(undefined);
    else if (by === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    else plot.current?.step(by);
    event.preventDefault();
  };
  return (
    <figure
      ref={group}
      className="chart"
      aria-roledescription="chart"
      aria-label={title}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: who rests on a chart holds it, and arrow keys read it
      tabIndex={0}
      onKeyDown={onKey}
      onBlur={() => plot.current?.step(undefined)}
    >
      <p className="chart-legend" aria-hidden="true">
        <span className="chart-key" />
        <span className="chart-title">{title}</span>
        <span className="chart-range" ref={range} />
        <span className="chart-value" ref={value}>
          –
        </span>
        <span className="chart-unit">{unit}</span>
      </p>
      <div ref={host} className="chart-host" aria-hidden="true" />
    </figure>
  );
}

/** Calls `fn` when the page, or the device under it, changes its theme. */
function whenThemeChanges(fn: () => void): () => void {
  const device = matchMedia('(prefers-color-scheme: dark)');
  const page = new MutationObserver(fn);
  page.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  device.addEventListener('change', fn);
  return () => {
    page.disconnect();
    device.removeEventListener('change', fn);
  };
}
