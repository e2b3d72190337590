import { describe, expect, test } from 'vitest';
import { cellWords, type Received, Strip, stripWords } from '../src/model/strip.ts';

const event = (seq: number, rest: Partial<Received> = {}): Received => ({
  seq,
  via: 'live',
  own: false,
  author: 'Jonas',
  ...rest,
});

function stripOf(...events: Received[]): Strip {
  const strip = new Strip();
  for (const e of events) strip.add(e);
  return strip;
}

describe('the strip counts what came', () => {
  test('in order, by kind', () => {
    const strip = stripOf(event(7, { via: 'replay' }), event(8, { own: true }), event(9));
    expect(strip.state.get()).toMatchObject({
      received: 3,
      replayed: 1,
      own: 1,
      missing: 0,
      repeated: 0,
      disordered: 0,
      last: 9,
    });
    expect(strip.state.get().cells.map(c => [c.seq, c.kind, c.own])).toEqual([
      [7, 'replay', false],
      [8, 'live', true],
      [9, 'live', false],
    ]);
  });

  test('a hole shows as missing cells until it is filled', () => {
    const strip = stripOf(event(1), event(4));
    expect(strip.state.get().missing).toBe(2);
    expect(strip.state.get().cells.map(c => c.kind)).toEqual(['live', 'missing', 'missing', 'live']);
    strip.add(event(2, { via: 'replay' }));
    strip.add(event(3, { via: 'replay' }));
    expect(strip.state.get()).toMatchObject({ missing: 0, disordered: 2 });
    expect(strip.state.get().cells.map(c => c.kind)).toEqual(['live', 'replay', 'replay', 'live']);
  });

  test('a seq that comes twice is counted and changes nothing else', () => {
    const strip = stripOf(event(1), event(2), event(2, { via: 'replay' }));
    expect(strip.state.get()).toMatchObject({ received: 2, replayed: 0, repeated: 1, last: 2 });
  });

  test('only the newest cells are listed, while everything is counted', () => {
    const strip = new Strip(3);
    for (let seq = 1; seq <= 10; seq++) strip.add(event(seq));
    expect(strip.state.get().cells.map(c => c.seq)).toEqual([8, 9, 10]);
    expect(strip.state.get().received).toBe(10);
  });

  test('between counts others, own and holes of a span', () => {
    const strip = stripOf(event(1), event(2), event(3, { own: true }), event(5));
    expect(strip.between(1, 5)).toEqual({ others: 2, own: 1, missing: 1 });
    expect(strip.between(5, 5)).toEqual({ others: 0, own: 0, missing: 0 });
  });

  test('restart begins anew, at any seq', () => {
    const strip = stripOf(event(1), event(2));
    strip.restart();
    expect(strip.state.get()).toMatchObject({ received: 0, last: 0, cells: [] });
    strip.add(event(90));
    expect(strip.state.get()).toMatchObject({ received: 1, missing: 0, last: 90 });
  });

  test('each change is a new object and is told once; none is not', () => {
    const strip = new Strip();
    let told = 0;
    const stop = strip.state.subscribe(() => told++);
    strip.add(event(1));
    const first = strip.state.get();
    expect(strip.state.get()).toBe(first);
    strip.add(event(2));
    expect(strip.state.get()).not.toBe(first);
    stop();
    strip.add(event(3));
    expect(told).toBe(2);
  });
});

test('the strip in words names what is wrong only when something is', () => {
  expect(stripWords(stripOf(event(1), event(2, { own: true })).state.get())).toBe(
    '2 received, 0 replayed, 1 own, 0 missing',
  );
  const wrong = stripOf(event(1), event(3), event(2), event(2)).state.get();
  expect(stripWords(wrong)).toBe('3 received, 0 replayed, 0 own, 0 missing, 1 twice, 1 out of order');
});

test('a cell in words', () => {
  expect(cellWords({ seq: 4, kind: 'replay', own: false, author: 'Jonas' })).toBe('4, replayed, Jonas');
  expect(cellWords({ seq: 5, kind: 'live', own: true, author: 'Mira' })).toBe('5, live, own');
  expect(cellWords({ seq: 6, kind: 'missing', own: false })).toBe('6, missing');
});
