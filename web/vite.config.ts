import { defineConfig } from 'vitest/config';
import { shell } from './shell.ts';

// The oldest browsers that know light-dark(); older targets would make the build rewrite it.
const browsers = ['chrome123', 'firefox121', 'safari17.5'];

export default defineConfig({
  build: {
    target: browsers,
    cssTarget: browsers,
    assetsInlineLimit: 0, // the policy allows no data: fonts or scripts
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: [
        'index.html',
        'chat.html',
        'cursors.html',
        'board.html',
        'dashboard.html',
        'doc.html',
        'src/shell/worker.ts',
      ], // the server serves documents without .html
      // A service worker must have one address for ever.
      output: { entryFileNames: ({ name }) => (name === 'worker' ? 'shell.js' : 'assets/[name]-[hash].js') },
    },
  },
  plugins: [shell()],
  // `npm run dev` serves the pages with the API of a server that runs beside it.
  server: {
    proxy: { '/v1': { target: 'http://127.0.0.1:8080', ws: true }, '/healthz': 'http://127.0.0.1:8080' },
  },
  test: {
    environment: 'happy-dom',
    include: ['test/**/*.test.{ts,tsx}'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
