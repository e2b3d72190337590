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
    // A page that a busy machine keeps from drawing for seconds can fail any test once; twice in a row is the test or the page. Whichever
    // needed its second try is named at the end. Nothing else is tried again: what a log loses once is lost.
    retry: 1,
    reporters: ['default', './unsteady.ts'],
  },
});
