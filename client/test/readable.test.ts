import { describe, expect, it, vi } from 'vitest';
import { Derived, Emitter, Value } from '../src/client/readable.js';

const settled = () => new Promise<void>(resolve => setTimeout(resolve));

describe('Readable', () => {
  it('tells of several changes once, after them; of no change not at all', async () => {
    const value = new Value(1);
    const seen: number[] = [];
    const stop = value.subscribe(() => seen.push(value.get()));
    value.set(2);
    value.set(3);
    expect(value.get()).toBe(3);
    expect(seen).toEqual([]);
    await settled();
    value.set(3);
    await settled();
    expect(seen).toEqual([3]);
    stop();
    stop();
    value.set(4);
    await settled();
    expect(seen).toEqual([3]);
  });

  it('iterates over the present value and the newest after each change', async () => {
    const value = new Value('a');
    const seen: string[] = [];
    const reading = (async () => {
      for await (const v of value) {
        seen.push(v);
        if (v === 'd') return;
      }
    })();
    await settled();
    value.set('b');
    value.set('c');
    await settled();
    value.set('d');
    await reading;
    expect(seen).toEqual(['a', 'c', 'd']);
  });

  it('computes what is derived once per change', () => {
    const compute = vi.fn(() => ({}));
    const derived = new Derived(compute);
    expect(derived.get()).toBe(derived.get());
    derived.invalidate();
    derived.get();
    expect(compute).toHaveBeenCalledTimes(2);
  });

  it('goes on after a listener that throws, and reports what it threw', async () => {
    const emitter = new Emitter<{ x: number }>();
    const seen: number[] = [];
    const uncaught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', error => uncaught.push(error));
    emitter.on('x', () => {
      throw new Error('mine');
    });
    emitter.on('x', x => seen.push(x));
    emitter.emit('x', 1);
    await settled();
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(seen).toEqual([1]);
    expect(uncaught).toMatchObject([{ message: 'mine' }]);
  });
});
