// Builds dist, or the folder that is named: the entries and the chunks they load, and declarations as they are in src. With --size it
// only prints the sizes.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const KIB = 1024;
/**
 * By output below dist: its source, and its budget with everything that it imports, min+gzip. Those that import `roomlog` as applications
 * do count for what they are apart from that.
 */
const entries = {
  index: { name: 'roomlog', source: 'src/index.ts', budget: 12 * KIB },
  'feed/index': { name: 'roomlog/feed', source: 'src/feed/index.ts', budget: 2 * KIB },
  'indexeddb/index': { name: 'roomlog/indexeddb', source: 'src/indexeddb/index.ts', budget: 3 * KIB },
  'react/index': { name: 'roomlog/react', source: 'src/react/index.ts', budget: 4 * KIB },
  'react/suspense': { name: 'roomlog/react/suspense', source: 'src/react/suspense.ts', budget: 4 * KIB },
  'tanstack-db/index': { name: 'roomlog/tanstack-db', source: 'src/tanstack-db/index.ts', budget: 2 * KIB },
  'yjs/index': { name: 'roomlog/yjs', source: 'src/yjs/index.ts', budget: 4 * KIB },
  'react/yjs': { name: 'roomlog/react/yjs', source: 'src/react/yjs.ts', budget: 6 * KIB },
  // It is loaded by tests alone: what a room shows beside its log has its price there, and nowhere else.
  'testing/index': { name: 'roomlog/testing', source: 'src/testing/index.ts', budget: 12.5 * KIB },
};
/** What these entries are together, the parts that they share once. */
const together = {
  'roomlog/react and its twin': { entries: ['react/index', 'react/suspense'], budget: 4 * KIB },
};
/** The budget of what is loaded when it is needed, each way of it as a whole. */
const LAZY_BUDGET = 4.75 * KIB;
/** Folders that import the entry itself, not a chunk that both share: that would be one more file for those who load the entry alone. */
const apart = ['indexeddb', 'tanstack-db', 'testing'];
const apartFromIndex = {
  name: 'apart-from-index',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.\.\/index\.js$/ }, ({ importer }) =>
      apart.some(entry => importer.startsWith(join(here, 'src', entry)))
        ? { path: '../index.js', external: true }
        : undefined,
    ),
};
/** Feeds and documents have their own copies of the few lines of a Readable: a chunk that they shared would cost those who load the core alone. */
const ownReadable = {
  name: 'own-readable',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/client\/readable\.js$/ }, ({ importer }) => {
      const entry = ['feed', 'yjs'].find(each => importer.startsWith(join(here, 'src', each)));
      return entry && { path: join(here, 'src/client/readable.ts'), suffix: `?${entry}` };
    }),
};
const options = {
  absWorkingDir: here,
  entryPoints: Object.fromEntries(Object.entries(entries).map(([out, { source }]) => [out, source])),
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  external: ['react', '@tanstack/db', 'yjs', 'y-protocols'],
  platform: 'neutral',
  plugins: [apartFromIndex, ownReadable],
};

/** An output and what it imports at once; what it imports later goes into `lazy`. */
function closure(outputs, path, lazy, seen = new Set()) {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const { path: to, kind, external } of outputs[path].imports) {
    if (external) continue;
    if (kind === 'dynamic-import') lazy.add(to);
    else closure(outputs, to, lazy, seen);
  }
  return seen;
}

async function sizes() {
  const { outputFiles, metafile } = await build({ ...options, minify: true, write: false, metafile: true });
  const gzip = new Map(outputFiles.map(file => [file.path, gzipSync(file.contents, { level: 9 }).length]));
  const sum = paths => [...paths].reduce((bytes, path) => bytes + gzip.get(join(here, path)), 0);
  const check = (name, bytes, budget) => {
    console.log(`${name}: ${(bytes / KIB).toFixed(2)} KiB min+gzip of ${budget / KIB} KiB`);
    if (bytes > budget) throw new Error(`${name} is above its budget`);
  };
  for (const [out, { name, budget }] of Object.entries(entries)) {
    const lazy = new Set();
    const atOnce = closure(metafile.outputs, `dist/${out}.js`, lazy);
    check(name, sum(atOnce), budget);
    for (const path of lazy) {
      const later = [...closure(metafile.outputs, path, lazy)].filter(each => !atOnce.has(each));
      check(`${name}, later ${metafile.outputs[path].entryPoint}`, sum(later), LAZY_BUDGET);
    }
  }
  for (const [name, { entries, budget }] of Object.entries(together)) {
    const all = entries.flatMap(out => [...closure(metafile.outputs, `dist/${out}.js`, new Set())]);
    check(name, sum(new Set(all)), budget);
  }
}

if (process.argv.includes('--size')) {
  await sizes();
} else {
  const outdir = resolve(here, process.argv[2] ?? 'dist');
  rmSync(outdir, { recursive: true, force: true });
  await build({ ...options, outdir, sourcemap: true });
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', outdir], {
    cwd: here,
    stdio: 'inherit',
  });
}
