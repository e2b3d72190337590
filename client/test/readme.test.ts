import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

describe('README', () => {
  it('shows the quickstart that is compiled and run in quickstart.test.tsx', () => {
    const [, shown] = /```tsx\n([\s\S]*?)```/.exec(read('../README.md')) ?? [];
    expect(shown).toBe(read('quickstart.tsx'));
  });
});
