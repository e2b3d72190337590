import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

// Every block of TypeScript, TSX, JavaScript and HTML in the documents for users compiles, against the built package and as
// strictly as this project itself. A block that is none of a program says so and why: ```ts no-check="why".

const root = fileURLToPath(new URL('../../', import.meta.url));

const pages = [
  'README.md',
  'client/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
];

interface Block {
  /** Where it is, as a name of a file: `docs-react-83.tsx` begins at line 83. */
  readonly file: string;
  readonly code: string;
  readonly exempt: string | undefined;
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8');
  const found = text.matchAll(/^```(ts|tsx|js|jsx|mjs|html)\b(.*)\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language = '', info = '', code = '', ...rest]) => {
    const line = text.slice(0, rest[0] as unknown as number).split('\n').length;
    const name = page.replace(/\.md$/, '').replaceAll('/', '-');
    const script =
      language === 'html' ? /<script type="module">\n([\s\S]*?)<\/script>/.exec(code)?.[1] : code;
    return {
      file: `${name}-${line}.${language === 'html' || language === 'mjs' ? 'js' : language}`,
      // Each block is a module, with names of its own.
      code: `${script ?? ''}\nexport {};\n`,
      exempt: /no-check="(.+)"/.exec(info)?.[1],
    };
  });
}

const all = pages.flatMap(blocksOf);
const checked = all.filter(({ exempt }) => exempt === undefined);
const scripts = checked.filter(({ file }) => /\.jsx?$/.test(file));
// What a block declares for all of `roomlog` must not reach the others.
const augmenting = checked.filter(({ code }) => code.includes("declare module 'roomlog'"));
const typed = checked.filter(block => !scripts.includes(block) && !augmenting.includes(block));

let folder: string;

beforeAll(() => {
  // Inside the workspace, so that `roomlog` and React are found as after npm install.
  mkdirSync(join(root, '.cache'), { recursive: true });
  folder = mkdtempSync(join(root, '.cache/blocks-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  cpSync(fileURLToPath(new URL('blocks/names.d.ts', import.meta.url)), join(folder, 'names.d.ts'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says of the blocks; nothing where it takes them. */
async function complaints(name: string, blocks: readonly Block[], options: object = {}): Promise<string> {
  for (const { file, code } of blocks) writeFileSync(join(folder, file), code);
  const config = join(folder, `tsconfig.${name}.json`);
  writeFileSync(
    config,
    JSON.stringify({
      extends: '../../tsconfig.base.json',
      compilerOptions: {
        noEmit: true,
        jsx: 'react-jsx',
        lib: ['ES2023', 'DOM', 'DOM.Iterable'],
        types: ['node'],
        ...options,
      },
      files: ['names.d.ts', ...blocks.map(({ file }) => file)],
    }),
  );
  const tsc = join(root, 'node_modules/.bin/tsc');
  try {
    await promisify(execFile)(tsc, ['-p', config], { cwd: folder });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

it('TypeScript and TSX', async () => {
  expect(typed.length).toBeGreaterThan(20);
  expect(await complaints('typed', typed)).toBe('');
});

it('those that declare types for the whole of roomlog, each by itself', async () => {
  expect(augmenting.length).toBeGreaterThan(0);
  for (const block of augmenting) expect(await complaints('augmenting', [block])).toBe('');
});

it('JavaScript, and the scripts of HTML: what they call is there', async () => {
  expect(scripts.length).toBeGreaterThan(0);
  const loose = { allowJs: true, checkJs: true, strict: false, exactOptionalPropertyTypes: false };
  expect(await complaints('scripts', scripts, loose)).toBe('');
});

it('exemptions are few and say why', () => {
  const exempt = all.filter(block => block.exempt !== undefined);
  expect(exempt.length).toBeLessThanOrEqual(3);
});

it('a block that does not compile would be found', async () => {
  const broken = {
    file: 'broken.ts',
    code: 'room.messages.send({ txt: 1 });\nexport {};\n',
    exempt: undefined,
  };
  expect(await complaints('broken', [broken])).toContain('broken.ts(1,22): error TS2561: Object literal');
});
