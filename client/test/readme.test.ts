import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

describe('README', () => {
  it('shows the quickstart that is compiled and run in quickstart.test.tsx', () => {
    const [, shown] = /```tsx\n([\s\S]*?)```/.exec(read('../README.md')) ?? [];
    expect(shown).toBe(read('quickstart.tsx'));
  });

  it('shows the test of a component that is run as example.test.tsx', () => {
    const blocks = [...read('../README.md').matchAll(/```tsx\n([\s\S]*?)```/g)].map(([, code]) => code);
    expect(blocks).toContain(read('example.test.tsx'));
  });
});
