import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['browser/**/*.test.ts'],
    // Two files at a time, each with its own server and browser: they mostly wait, and two cores are what a small machine has.
    maxWorkers: 2,
    // Files that run one after the other share a process, so that what they import is loaded once.
    isolate: false,
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
});
