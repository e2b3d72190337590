import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'browser/chat-screens.ts',
      'browser/cursors-screens.ts',
      'browser/board-screens.ts',
      'browser/doc-screens.ts',
      'browser/dashboard-screens.ts',
    ],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
