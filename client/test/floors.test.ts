import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));
const FLOORS = [
  'protocol',
  'transport',
  'client',
  'feed',
  'indexeddb',
  'tanstack-db',
  'yjs',
  'react',
  'testing',
];

/** Every import of a source file: `react/hooks.ts` → `['react', '../client/types.js', …]`. */
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts'))
  .map(path => {
    const text = readFileSync(join(src, path), 'utf8');
    const imports = [
      ...text.matchAll(/^(?:import|export)[^;]*? from '([^']+)'/gms),
      ...text.matchAll(/import\('([^']+)'\)/g),
    ];
    return {
      path,
      floor: FLOORS.indexOf(path.split('/')[0] as string),
      imports: imports.map(m => m[1] as string),
    };
  });

describe('floors', () => {
  it('finds the sources and what they import', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap(source => source.imports).length).toBeGreaterThan(50);
  });

  it('a folder imports only lower ones: protocol < transport < client < feed, indexeddb, tanstack-db, yjs, react < testing', () => {
    const wrong = sources.flatMap(({ path, floor, imports }) =>
      imports
        .filter(name => name.startsWith('.'))
        .map(name => relative(src, join(src, dirname(path), name)))
        .filter(target => floor >= 0 && FLOORS.indexOf(target.split('/')[0] as string) > floor)
        .map(target => `${path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('React, TanStack DB and Yjs are imported from outside, each by its own entries only', () => {
    const outside = sources.flatMap(({ path, imports }) =>
      imports.filter(name => !name.startsWith('.')).map(name => `${path.split('/')[0]}: ${name}`),
    );
    const [react, yjs] = [['react: react'], ['yjs: yjs', 'yjs: y-protocols/awareness']];
    // Types alone, in `roomlog/react/yjs`.
    const types = ['react: yjs', 'react: y-protocols/awareness'];
    expect(new Set(outside)).toEqual(new Set([...react, ...yjs, ...types, 'tanstack-db: @tanstack/db']));
  });

  it('no file is above 400 lines', () => {
    const long = sources.filter(({ path }) => readFileSync(join(src, path), 'utf8').split('\n').length > 400);
    expect(long.map(({ path }) => path)).toEqual([]);
  });
});
