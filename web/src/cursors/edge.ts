/** A length in both directions, in CSS pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Where the sign of a pointer stands that is out of sight, in CSS pixels of the window. */
export interface EdgePlace {
  readonly left: number;
  readonly top: number;
  /** The way to the pointer, clockwise in radians; 0 is to the right. */
  readonly angle: number;
}

/** How far a sign keeps from the edge. */
const margin = 6;

/** Where the sign of a pointer at (`left`, `top`) stands at the edge of a window; null where the pointer is in sight. */
export function edgeOf(left: number, top: number, { width, height }: Size): EdgePlace | null {
  if (left >= 0 && left <= width && top >= 0 && top <= height) return null;
  const at = {
    left: Math.min(width - margin, Math.max(margin, left)),
    top: Math.min(height - margin, Math.max(margin, top)),
  };
  return { ...at, angle: Math.atan2(top - at.top, left - at.left) };
}
