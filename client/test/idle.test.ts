import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Idle } from '../src/client/sides/idle.js';

const MINUTE = 60_000;

/** The page, as far as idle detection looks at it. */
class FakePage extends EventTarget {
  visibilityState: 'visible' | 'hidden' = 'visible';

  sign(type: string): void {
    this.dispatchEvent(new Event(type));
  }

  show(state: 'visible' | 'hidden'): void {
    this.visibilityState = state;
    this.sign('visibilitychange');
  }
}

describe('idle detection', () => {
  let page: FakePage;
  let said: boolean[];
  let idle: Idle;
  beforeEach(() => {
    vi.useFakeTimers();
    page = new FakePage();
    vi.stubGlobal('document', page);
    said = [];
    idle = new Idle(() => said.push(idle.isIdle));
  });
  afterEach(() => {
    idle.stop();
    expect(vi.getTimerCount()).toBe(0);
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('a page that is hidden is idle at once, and no more when it is seen again', () => {
    idle.start();
    page.show('hidden');
    page.sign('pointermove'); // of no person: nobody sees it
    page.show('visible');
    expect(said).toEqual([true, false]);
  });

  it('a page that is seen is idle five minutes after the last sign of a person, whichever it was', () => {
    idle.start();
    for (const sign of ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart']) {
      vi.advanceTimersByTime(5 * MINUTE - 1);
      page.sign(sign);
    }
    vi.advanceTimersByTime(5 * MINUTE - 1);
    expect(said).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(said).toEqual([true]);
    page.sign('keydown');
    expect(said).toEqual([true, false]);
    vi.advanceTimersByTime(5 * MINUTE);
    expect(said).toEqual([true, false, true]);
  });

  it('has one timer for any number of signs', () => {
    idle.start();
    for (let n = 0; n < 1_000; n++) page.sign('pointermove');
    expect(vi.getTimerCount()).toBe(1);
  });

  it('hears nothing once it is stopped, and looks anew when it is started again', () => {
    idle.start();
    idle.stop();
    page.show('hidden');
    vi.advanceTimersByTime(10 * MINUTE);
    expect(said).toEqual([]);
    idle.start();
    expect(said).toEqual([true]);
  });

  it('where there is no page nobody is ever idle', () => {
    vi.stubGlobal('document', undefined);
    idle.start();
    vi.advanceTimersByTime(10 * MINUTE);
    expect(idle.isIdle).toBe(false);
  });
});
