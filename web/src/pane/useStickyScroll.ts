import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from 'react';

/** How a list of messages scrolls. */
export interface StickyScroll {
  readonly atBottom: boolean;
  readonly onScroll: () => void;
  readonly toBottom: () => void;
}

const nearPx = 24;

/**
 * Keeps the end of a list in view while the reader is there, and leaves the reader alone elsewhere:
 * what is added above (`firstKey` changes) moves nothing that is being read.
 * @param size number of rows; @param firstKey identity of the first row
 */
export function useStickyScroll(
  list: RefObject<HTMLElement | null>,
  size: number,
  firstKey: string | undefined,
): StickyScroll {
  const [atBottom, setAtBottom] = useState(true);
  const before = useRef({ atBottom: true, firstKey, height: 0 });

  const toBottom = useCallback(() => {
    const box = list.current;
    if (box) box.scrollTop = box.scrollHeight;
  }, [list]);

  const onScroll = useCallback(() => {
    const box = list.current;
    if (!box) return;
    before.current.atBottom = box.scrollHeight - box.scrollTop - box.clientHeight < nearPx;
    setAtBottom(before.current.atBottom);
  }, [list]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: size stands for "a row was added", which is when to scroll
  useLayoutEffect(() => {
    const box = list.current;
    if (!box) return;
    const was = before.current;
    if (was.atBottom) toBottom();
    else if (was.firstKey !== firstKey) box.scrollTop += box.scrollHeight - was.height;
    was.firstKey = firstKey;
    was.height = box.scrollHeight;
  }, [size, firstKey, list, toBottom]);

  // The box itself may change size: a phone's keyboard, a rotated screen.
  useLayoutEffect(() => {
    const box = list.current;
    if (!box) return;
    const watching = new ResizeObserver(() => {
      if (before.current.atBottom) toBottom();
    });
    watching.observe(box);
    return () => watching.disconnect();
  }, [list, toBottom]);

  return { atBottom, onScroll, toBottom };
}
