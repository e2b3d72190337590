// Builds dist: one module per entry, and declarations as they are in src. With --size it only prints the sizes.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const entries = [
  { name: 'roomlog', source: 'src/index.ts', out: 'dist/index.js', budget: 12 * 1024 },
  { name: 'roomlog/react', source: 'src/react/index.ts', out: 'dist/react/index.js', budget: 4 * 1024 },
];
const options = {
  absWorkingDir: here,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  external: ['react'],
  platform: 'neutral',
};

async function size({ name, source, budget }) {
  const { outputFiles } = await build({ ...options, entryPoints: [source], minify: true, write: false });
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`${name}: ${(bytes / 1024).toFixed(2)} KiB min+gzip of ${budget / 1024} KiB`);
  if (bytes > budget) throw new Error(`${name} is above its budget`);
}

if (process.argv.includes('--size')) {
  for (const entry of entries) await size(entry);
} else {
  rmSync(join(here, 'dist'), { recursive: true, force: true });
  for (const { source, out } of entries) {
    await build({ ...options, entryPoints: [source], outfile: out, sourcemap: true });
  }
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: here, stdio: 'inherit' });
}
