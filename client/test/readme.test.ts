import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const blocksOf = (path: string) =>
  [...read(path).matchAll(/```tsx?\n([\s\S]*?)```/g)].map(([, code]) => code as string);
const blocks = blocksOf('../README.md');

/** What the README and the pages of docs/ leave to the reader. */
const reader: Record<string, string> = {
  client: "declare const client: import('roomlog').Client;",
  room: "declare const room: import('roomlog').Room<{ text: string }>;",
  render: 'declare const render: (...what: unknown[]) => void;',
  fetchToken: 'declare const fetchToken: () => Promise<string>;',
  toast: 'declare const toast: (text: string) => void;',
};

/** A block as a module: with what it takes for granted, which is what earlier blocks imported or the reader has. */
function complete(code: string): string {
  const has = (name: string) =>
    new RegExp(`(const|function) ${name}\\b|import [^;]*\\b${name}\\b`).test(code);
  const uses = (name: string) => new RegExp(`\\b${name}\\b`).test(code) && !has(name);
  const given = Object.entries(reader).flatMap(([name, text]) => (uses(name) ? [text] : []));
  const hooks = ['useMessages', 'useConnection', 'useRoom', 'useLostConnection'].filter(uses);
  return `${code}\nimport { ${hooks} } from 'roomlog/react';\n${given.join('\n')}\nexport {};\n`;
}

describe('README', () => {
  it('shows the quickstart that is compiled and run in quickstart.test.tsx', () => {
    expect(blocks[0]).toBe(read('quickstart.tsx'));
  });

  it('has blocks of code that compile, and a wrong one would not', () => {
    expect(blocks.length).toBeGreaterThan(4);
    const wrong = "import { createClient } from 'roomlog';\ncreateClient({ url: 7 });";
    expect(compile([...blocks, wrong])).toEqual([expect.stringContaining(`block-${blocks.length}.tsx`)]);
  });

  it('and so have the pages of docs/', () => {
    const pages = ['quickstart', 'react', 'javascript'].flatMap(page => blocksOf(`../../docs/${page}.md`));
    expect(pages.length).toBeGreaterThan(15);
    expect(compile(pages)).toEqual([]);
  });

  it('shows the test of a component that is run as example.test.tsx', () => {
    const blocks = [...read('../README.md').matchAll(/```tsx\n([\s\S]*?)```/g)].map(([, code]) => code);
    expect(blocks).toContain(read('example.test.tsx'));
  });
});

/** Compiles each as a module of its own and gives the errors. */
function compile(codes: readonly string[]): string[] {
  const folder = mkdtempSync(fileURLToPath(new URL('readme-', import.meta.url)));
  try {
    codes.forEach((code, i) => {
      writeFileSync(join(folder, `block-${i}.tsx`), complete(code));
    });
    writeFileSync(join(folder, 'tsconfig.json'), '{ "extends": "../../tsconfig.json", "include": ["."] }');
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
    return stdout.split('\n').filter(line => /error TS/.test(line));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
