import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { timeWords } from './series.ts';

/** A chart on a canvas. */
export interface Plot {
  /** Draws these values over these seconds, the last `span` of them. */
  show(times: readonly number[], values: readonly (number | null)[], span: number): void;
  /** Moves the cursor so many places on, from the newest where there is none; none takes it away. */
  step(by: number | undefined): void;
  /** Draws again in the colours of the theme. */
  recolour(): void;
  end(): void;
}

/** Both axes and the line, as the style sheet has them: a canvas is told colours, it has no style of its own. */
function coloursOf(host: HTMLElement) {
  const probe = host.ownerDocument.createElement('i');
  probe.hidden = true;
  host.append(probe);
  const read = (variable: string) => {
    probe.style.color = `var(${variable})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    line: read('--chart-line'),
    fill: read('--chart-fill'),
    ink: read('--ink-soft'),
    grid: read('--line'),
  };
  probe.remove();
  return colours;
}

const padding = 0.1; // of the range of values, above and below

/** Makes a chart that fills `host`. `pointed` hears which place the cursor is at; null where it is at none. */
export function makePlot(host: HTMLElement, pointed: (index: number | null) => void): Plot {
  let colours = coloursOf(host);
  let shown: uPlot.AlignedData = [[], []];
  const { font } = getComputedStyle(host);
  const axis = { font, stroke: () => colours.ink, ticks: { show: false } };
  const line = { stroke: () => colours.grid, width: 1 };
  const plot = new uPlot(
    {
      width: Math.max(host.clientWidth, 1),
      height: Math.max(host.clientHeight, 1),
      legend: { show: false },
      padding: [8, 24, 0, 0], // the last time stands under the last line
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'dashboard' }, points: { size: 8 } },
      scales: {
        y: {
          range: (_, low, high) => {
            const still = low === high;
            const room = still ? Math.max(Math.abs(high) * padding, 1) : (high - low) * padding;
            return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
          },
        },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 28,
          gap: 9, // clear of the lowest number beside it
          space: 80,
          values: (_, at) => at.map(t => timeWords(t)),
        },
        { ...axis, grid: line, size: 52, space: 36 },
      ],
      series: [
        {},
        { stroke: () => colours.line, fill: () => colours.fill, width: 1.75, points: { show: false } },
      ],
      hooks: { setCursor: [({ cursor }) => pointed(cursor.idx ?? null)] },
    },
    shown,
    host,
  );
  const resized = new ResizeObserver(() => {
    if (host.clientWidth > 0) plot.setSize({ width: host.clientWidth, height: host.clientHeight });
  });
  resized.observe(host);
  return {
    show(times, values, span) {
      shown = [times, values] as unknown as uPlot.AlignedData;
      const end = times.at(-1) ?? 0;
      plot.batch(() => {
        plot.setData(shown, false);
        plot.setScale('x', { min: end - span, max: end });
      });
    },
    step(by) {
      const times = shown[0];
      if (by === undefined || times.length === 0) {
        plot.setCursor({ left: -10, top: -10 });
        return;
      }
      const at = Math.min(Math.max((plot.cursor.idx ?? times.length) + by, 0), times.length - 1);
      plot.setCursor({ left: plot.valToPos(times[at] ?? 0, 'x'), top: 1 });
    },
    recolour() {
      colours = coloursOf(host);
      plot.redraw(false);
    },
    end() {
      resized.disconnect();
      plot.destroy();
    },
  };
}
