import { type Range, RangeSet } from '@codemirror/state';
import {
  Decoration,
  type DecorationSet,
  type EditorView,
  ViewPlugin,
  type ViewUpdate,
} from '@codemirror/view';

/** A piece of a text that is shown in another way, from and to counted in the line; a whole line has none. */
export interface Mark {
  readonly kind: 'h1' | 'h2' | 'h3' | 'quote' | 'item' | 'strong' | 'em' | 'code' | 'sign';
  readonly from?: number;
  readonly to?: number;
}

const heading = /^(#{1,3}) /;
const quote = /^>+ ?/;
const item = /^\s*(?:[-*+]|\d{1,9}[.)]) /;
// Each ends at the first that closes it, and begins and ends with something to see.
const inline = /(`[^`]+`)|(\*\*(?=\S)(?:[^*]|\*(?!\*))*[^\s*]\*\*)|(\*(?=[^\s*])(?:[^*]*[^\s*])?\*)/g;

/** How a line looks that is Markdown. It is a look at one line alone: fences and lists in lists are text as any other. */
export function marksOf(line: string): Mark[] {
  const marks: Mark[] = [];
  const begins = heading.exec(line) ?? quote.exec(line) ?? item.exec(line);
  if (begins) {
    const level = begins[1]?.length;
    const kind = level ? (`h${level}` as 'h1' | 'h2' | 'h3') : begins[0].startsWith('>') ? 'quote' : 'item';
    marks.push({ kind }, { kind: 'sign', from: 0, to: begins[0].length });
  }
  for (const found of line.matchAll(inline)) {
    const kind = found[1] ? 'code' : found[2] ? 'strong' : 'em';
    marks.push({ kind, from: found.index, to: found.index + found[0].length });
  }
  return marks;
}

/** The longest line that is looked at. */
const longest = 5_000;

function decorate({ state, visibleRanges }: EditorView): DecorationSet {
  const found: Range<Decoration>[] = [];
  let last = -1;
  for (const { from, to } of visibleRanges) {
    for (let at = from; at <= to; ) {
      const line = state.doc.lineAt(at);
      at = line.to + 1;
      if (line.from === last || line.length > longest) continue;
      last = line.from;
      for (const { kind, from: start, to: end } of marksOf(line.text))
        found.push(
          start === undefined || end === undefined
            ? Decoration.line({ class: `md-${kind}` }).range(line.from)
            : Decoration.mark({ class: `md-${kind}` }).range(line.from + start, line.from + end),
        );
    }
  }
  return RangeSet.of(found, true);
}

/** Shows Markdown a little: what is in sight alone, and nothing is hidden. */
export const markdown = ViewPlugin.define(
  view => ({
    marks: decorate(view),
    update(update: ViewUpdate) {
      if (update.docChanged || update.viewportChanged) this.marks = decorate(update.view);
    },
  }),
  { decorations: plugin => plugin.marks },
);
