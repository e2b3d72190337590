import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Replay, type Transcript } from './transcript.js';

const folder = new URL('../../spec/transcripts/', import.meta.url);
const files = readdirSync(folder).filter(name => name.endsWith('.json'));
const transcripts = files
  .map(name => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Transcript)
  .filter(transcript => transcript.for.includes('ts'));

const replayed = new Set<string>();

describe('transcripts', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  for (const transcript of transcripts) {
    it(`${transcript.name}: ${transcript.rules.join(' ')}`, async () => {
      await new Replay(false).run(transcript);
      await new Replay(true).run(transcript);
      replayed.add(`${transcript.name}.json`);
    });
  }

  it('every file of the folder that is for this language was replayed', () => {
    const meant = files.filter(name =>
      /"for":\s*\[[^\]]*"ts"/.test(readFileSync(new URL(name, folder), 'utf8')),
    );
    expect(meant.length).toBeGreaterThan(0);
    expect([...replayed].sort()).toEqual(meant.sort());
  });
});
