import type { EdgePlace, Size } from './edge.ts';
import { hueOf, initialsOf } from './who.ts';

/** The elements that pointers are drawn in. */
export interface Layers {
  /** The window: what is out of its sight is shown by a sign at its edge. */
  readonly frame: HTMLElement;
  /** Covers the area, which may be larger than the window. */
  readonly area: HTMLElement;
  /** Covers the window. */
  readonly edge: HTMLElement;
}

/** How a pointer looks: on its way or just arrived, still for a while, without a connection, or the page's own. */
export type PointerState = 'moving' | 'idle' | 'away' | 'own';

/** A pointer with the flag that names its person, and its sign at the edge of the window. */
export interface Drawn {
  /** Whether it is out of sight. */
  readonly isOut: boolean;
  /** Puts its tip at a place of the area, in CSS pixels. */
  place(left: number, top: number, area: Size): void;
  /** Puts its sign at the edge, or takes that away. */
  point(at: EdgePlace | null, window: Size): void;
  setState(state: PointerState): void;
  /** Draws the eye to it for a moment. */
  call(): void;
  remove(): void;
}

const svg = 'http://www.w3.org/2000/svg';

/** An arrow with two outlines, a light and a dark one: one of them stands out from any background. */
function arrow(kind: string, path: string): SVGSVGElement {
  const drawing = document.createElementNS(svg, 'svg');
  drawing.setAttribute('class', kind);
  drawing.setAttribute('viewBox', '-3 -3 30 30');
  for (const part of ['arrow-outer', 'arrow-inner', 'arrow-body']) {
    const line = document.createElementNS(svg, 'path');
    line.setAttribute('d', path);
    line.setAttribute('class', part);
    drawing.append(line);
  }
  return drawing;
}

function element(kind: string, text = ''): HTMLElement {
  const made = document.createElement('span');
  made.className = kind;
  made.textContent = text;
  return made;
}

/** So near to the right or lower end of the area a flag stands on the other side of its pointer. */
const flagWidth = 150;
const flagHeight = 48;

/**
 * Draws a pointer, out of sight until it is placed.
 * @param onPick its sign at the edge was pressed
 */
export function drawPointer({ area, edge }: Layers, label: string, user: string, onPick?: () => void): Drawn {
  const pointer = element('pointer');
  pointer.dataset.user = user;
  pointer.dataset.hue = String(hueOf(user));
  const flag = element('flag', label);
  flag.dir = 'auto';
  pointer.append(arrow('pointer-arrow', 'M0 0 6.500 19 10 11.500 18 8.500Z'), flag);

  const sign = element('sign');
  sign.dataset.user = user;
  sign.dataset.hue = pointer.dataset.hue;
  sign.hidden = true;
  const way = arrow('sign-arrow', 'M24 12 6 3 10 12 6 21Z');
  const name = element('sign-name', label);
  name.dir = 'auto';
  sign.append(way, name, element('sign-initials', initialsOf(label)));
  if (onPick) sign.addEventListener('click', onPick);

  area.append(pointer);
  edge.append(sign);
  return {
    get isOut() {
      return !sign.hidden;
    },
    place(left, top, { width, height }) {
      pointer.style.transform = `translate(${left.toFixed(2)}px, ${top.toFixed(2)}px)`;
      pointer.toggleAttribute('data-left', width - left < flagWidth);
      pointer.toggleAttribute('data-up', height - top < flagHeight);
    },
    point(at, { width, height }) {
      if (sign.hidden !== (at === null)) sign.hidden = at === null;
      if (!at) return;
      // By as much of its own size as it is along the edge: it never sticks out.
      const back = `translate(${(-100 * at.left) / width}%, ${(-100 * at.top) / height}%)`;
      sign.style.transform = `translate(${at.left.toFixed(1)}px, ${at.top.toFixed(1)}px) ${back}`;
      way.style.transform = `rotate(${at.angle.toFixed(2)}rad)`;
    },
    setState(state) {
      if (pointer.dataset.state === state) return;
      pointer.dataset.state = state;
      sign.dataset.state = state;
    },
    call() {
      pointer.removeAttribute('data-called');
      void pointer.offsetWidth; // so that a second call is seen as well
      pointer.setAttribute('data-called', '');
    },
    remove() {
      pointer.remove();
      sign.remove();
    },
  };
}
