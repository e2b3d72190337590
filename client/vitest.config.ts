import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^roomlog\/feed$/, replacement: source('./src/feed/index.ts') },
      { find: /^roomlog\/indexeddb$/, replacement: source('./src/indexeddb/index.ts') },
      { find: /^roomlog\/react$/, replacement: source('./src/react/index.ts') },
      { find: /^roomlog\/react\/suspense$/, replacement: source('./src/react/suspense.ts') },
      { find: /^roomlog\/react\/yjs$/, replacement: source('./src/react/yjs.ts') },
      { find: /^roomlog\/yjs$/, replacement: source('./src/yjs/index.ts') },
      { find: /^roomlog\/tanstack-db$/, replacement: source('./src/tanstack-db/index.ts') },
      { find: /^roomlog\/testing$/, replacement: source('./src/testing/index.ts') },
      { find: /^roomlog$/, replacement: source('./src/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    environment: 'node',
    setupFiles: ['test/setup.ts'],
    // A test that fails says so; only one that hangs needs a bound, and a machine that others use as well may be slow.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
