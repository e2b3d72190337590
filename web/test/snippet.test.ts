import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plainText, type Snippet, snippets } from '../src/model/snippet.ts';

const filling = {
  url: 'http://127.0.0.1:8123',
  token: 'eyJ.abc$&.sig',
  room: 'chat:lobby',
  tag: '6f1c0000-0000-4000-8000-00000000000a',
};
const named = (id: Snippet['id']): Snippet => {
  const found = snippets(filling).find(s => s.id === id);
  if (!found) throw new Error(`no snippet ${id}`);
  return found;
};

test('every snippet carries this server, a token and the room, and no blank to fill in', () => {
  for (const snippet of snippets(filling)) {
    const text = plainText(snippet);
    expect(text).toContain(filling.url);
    expect(text).toContain(filling.token);
    expect(text).toContain(filling.room);
    expect(text).not.toMatch(/\bURL\b|'TOKEN'|\bROOM\b|\bTAG\b/);
  }
});

test('the React snippet is nine lines after its imports', () => {
  const code = named('react')
    .pieces.map(p => p.text)
    .join('');
  expect(code.trimEnd().split('\n')).toHaveLength(9);
});

test('the token and the address are marked wherever they stand', () => {
  const kinds = (id: Snippet['id']) => named(id).pieces.flatMap(p => p.kind ?? []);
  expect(kinds('react')).toEqual(['url', 'token']);
  expect(kinds('vanilla')).toEqual(['url', 'token']);
  expect(kinds('curl')).toEqual(['token', 'url', 'url']);
});

test('curl sends the given tag, so that running it twice is one event (TAG-3)', () => {
  expect(plainText(named('curl'))).toContain(`"tag":"${filling.tag}"`);
});

test('the React snippet is the quickstart that the client compiles and runs', () => {
  // A path from the workspace, where tests run: happy-dom gives import.meta.url no file to resolve against.
  const quickstart = readFileSync('../client/test/quickstart.tsx', 'utf8');
  const [react] = snippets({ ...filling, url: 'http://127.0.0.1:8080', token: 'TOKEN' });
  expect(react && plainText(react)).toBe(quickstart);
});
