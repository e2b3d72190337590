import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The package as it is published: built, packed and unpacked where there is nothing else than what it says it needs.

// Compilers take their time where others compile too.
const client = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8'));
const entries = Object.keys(manifest.exports)
  .filter(entry => entry !== './package.json')
  .map(entry => entry.replace(/^\./, 'roomlog'));
const folder = mkdtempSync(join(tmpdir(), 'roomlog-package-'));
const app = join(folder, 'app');
const installed = join(app, 'node_modules/roomlog');
let tarball: Buffer;

beforeAll(() => {
  const source = join(folder, 'source');
  mkdirSync(installed, { recursive: true });
  for (const name of ['package.json', 'README.md', 'LICENSE']) cpSync(join(client, name), join(source, name));
  const { execPath } = process;
  execFileSync(execPath, ['build.mjs', join(source, 'dist')], { cwd: client });
  const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--offline'], {
    cwd: source,
    encoding: 'utf8',
  });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  tarball = readFileSync(join(source, filename));
  execFileSync('tar', ['-xzf', join(source, filename), '-C', installed, '--strip-components=1']);
  const modules = dirname(dirname(createRequire(import.meta.url).resolve('react/package.json')));
  for (const name of ['react', '@types/react', 'csstype', '@tanstack/db', 'yjs', 'y-protocols', 'lib0']) {
    mkdirSync(dirname(join(app, 'node_modules', name)), { recursive: true });
    symlinkSync(join(modules, name), join(app, 'node_modules', name));
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const files = () => readdirSync(installed, { recursive: true, encoding: 'utf8' });

describe('the package', () => {
  it('holds what it says, and nothing else than dist, its README and its licence', () => {
    expect(new Set(files().map(path => path.split('/')[0]))).toEqual(
      new Set(['dist', 'package.json', 'README.md', 'LICENSE']),
    );
    expect(readFileSync(join(client, 'LICENSE'), 'utf8')).toBe(
      readFileSync(join(client, '../LICENSE'), 'utf8'),
    );
    expect(manifest.dependencies).toBeUndefined();
  });

  it('publint has nothing to say', async () => {
    const data = tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.length) as ArrayBuffer;
    const { messages, pkg } = await publint({ pack: { tarball: data }, strict: true });
    expect(messages.map(message => formatMessage(message, pkg))).toEqual([]);
  });

  it('are the types wrong has nothing to say of any entry, but for require(): the package is made of ES modules', async () => {
    const checked = await checkPackage(createPackageFromTarballData(tarball));
    if (!checked.types) throw new Error('there are no types');
    expect(Object.keys(checked.entrypoints).map(entry => entry.replace(/^\./, 'roomlog'))).toEqual([
      ...entries,
      'roomlog/package.json',
    ]);
    for (const entry of entries.map(name => name.replace('roomlog', '.'))) {
      const { resolutions } = checked.entrypoints[entry] as (typeof checked.entrypoints)[string];
      expect(resolutions['node16-esm'].resolution?.isTypeScript, entry).toBe(true);
      expect(resolutions.bundler.resolution?.isTypeScript, entry).toBe(true);
    }
    const leftOut = ['node10', 'node16-cjs'];
    const problems = checked.problems.filter(
      problem => !('resolutionKind' in problem && leftOut.includes(problem.resolutionKind)),
    );
    expect(problems).toEqual([]);
  });

  it.each(entries)('%s can be imported on its own by Node', entry => {
    const code = `console.log(Object.keys(await import('${entry}')).length > 0)`;
    const ran = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: app,
      encoding: 'utf8',
    });
    expect(ran.trim()).toBe('true');
  });

  it('the entries of hooks are of one piece: a provider of the one serves the hooks of the other', () => {
    const code = `
      const [plain, suspense] = [await import('roomlog/react'), await import('roomlog/react/suspense')];
      console.log(Object.keys(plain).filter(name => plain[name] === suspense[name]).join());`;
    const ran = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: app,
      encoding: 'utf8',
    });
    expect(ran.trim()).toBe(
      'RoomlogProvider,useClient,useConnection,useFeed,useLostConnection,useMyPresence,useOthers,usePresence,useReadable,useReceipts,useRooms,useTyping',
    );
  });

  it('an entry of hooks begins with the directive that lets a server component import it', () => {
    const text = (entry: string) => {
      const { default: path } = manifest.exports[entry.replace('roomlog', '.')];
      return readFileSync(join(installed, path), 'utf8');
    };
    const marked = entries.filter(entry => /^["']use client["'];\n/.test(text(entry)));
    expect(marked).toEqual(['roomlog/react', 'roomlog/react/yjs', 'roomlog/react/suspense']);
    // A framework replaces each export by a reference: it has to see their names.
    for (const entry of marked) expect(text(entry)).not.toMatch(/export \*/);
  });

  it.each(['nodenext', 'bundler'])('its types compile by themselves, resolved as %s', moduleResolution => {
    const imports = entries.map((entry, i) => `import * as entry${i} from '${entry}';`);
    writeFileSync(
      join(app, 'app.ts'),
      `${imports.join('\n')}
export const all = [${entries.map((_, i) => `entry${i}`)}];
declare module 'roomlog' { interface Register { message: { n: number } } }
const client = entry0.createClient({ url: '/', token: 't' });
client.room('a:b').messages.send({ n: 1 });
// @ts-expect-error the registered type
client.room('a:b').messages.send({ text: '' });
// @ts-expect-error in every entry
entry${entries.indexOf('roomlog/react')}.useMessages().send({ text: '' });
`,
    );
    writeFileSync(join(app, 'package.json'), '{ "type": "module" }');
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
    const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
    const target = ['--target', 'es2022', '--lib', 'es2023,dom', '--types', ''];
    const module = ['--module', moduleResolution === 'bundler' ? 'esnext' : 'nodenext'];
    const args = [tsc, ...options, ...target, ...module, '--moduleResolution', moduleResolution, 'app.ts'];
    let said = '';
    try {
      execFileSync(process.execPath, args, { cwd: app, encoding: 'utf8' });
    } catch (error) {
      said = (error as { stdout: string }).stdout;
    }
    // What the packages beside ours make of their own declarations is theirs.
    const others = /^(\s|\S*node_modules\/(?!roomlog\/)\S+\(\d)/;
    expect(said.split('\n').filter(line => line && !others.test(line))).toEqual([]);
  });
});
