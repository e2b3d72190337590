import { EditorState, type Transaction } from '@codemirror/state';
import type { EditorView } from '@codemirror/view';
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { demoUpdate, textName } from '../src/doc/demo.ts';
import { keys } from '../src/doc/keys.ts';
import { marksOf } from '../src/doc/marks.ts';
import { spokenWords, stateWords } from '../src/doc/words.ts';

test('the demo is there once, however many put it into the same document', () => {
  const docs = [new Y.Doc(), new Y.Doc(), new Y.Doc()] as const;
  for (const doc of docs) Y.applyUpdate(doc, demoUpdate());
  docs[0].getText(textName).insert(0, 'Mine. ');
  for (const from of docs) for (const to of docs) Y.applyUpdate(to, Y.encodeStateAsUpdate(from));
  Y.applyUpdate(docs[0], demoUpdate());
  for (const doc of docs) {
    const text = doc.getText(textName).toString();
    expect(text).toMatch(/^Mine\. # Summer party\n/);
    expect(text.match(/Summer party/g)).toHaveLength(1);
  }
});

test('a line is marked by how it begins, and what stands between marks', () => {
  const of = (line: string) =>
    marksOf(line).map(({ kind, from, to }) =>
      from === undefined ? kind : `${kind} ${line.slice(from, to)}`,
    );
  expect(of('## To **settle**')).toEqual(['h2', 'sign ## ', 'strong **settle**']);
  expect(of('- a *b* `*c*`')).toEqual(['item', 'sign - ', 'em *b*', 'code `*c*`']);
  expect(of('> 2 * 3 * 4')).toEqual(['quote', 'sign > ']);
  expect(of('12. **a**b*c**')).toEqual(['item', 'sign 12. ', 'strong **a**', 'em *c*']);
  for (const plain of ['', '#hash', '####### x', '-x', '** a **', '*', '``', 'a_b_c'])
    expect(of(plain)).toEqual([]);
});

/** What a key makes of a text in which | is the caret, or both ends of what is selected. */
function pressed(key: string, text: string, shift = false): string {
  const [before = '', ...rest] = text.split('|');
  const anchor = before.length;
  const head = rest.length > 1 ? anchor + (rest[0] as string).length : anchor;
  let state = EditorState.create({ doc: before + rest.join(''), selection: { anchor, head } });
  const dispatch = (transaction: Transaction) => {
    state = transaction.state;
  };
  const binding = keys.find(each => each.key === key);
  binding?.[shift ? 'shift' : 'run']?.({ state, dispatch } as EditorView);
  const { from, to } = state.selection.main;
  const all = state.doc.toString();
  return from === to
    ? `${all.slice(0, from)}|${all.slice(from)}`
    : `${all.slice(0, from)}|${all.slice(from, to)}|${all.slice(to)}`;
}

test('Enter goes on with a list and ends it, Tab indents what is selected', () => {
  expect(pressed('Enter', 'a|b')).toBe('a\n|b');
  expect(pressed('Enter', '- a|b')).toBe('- a\n- |b');
  expect(pressed('Enter', '  9) a|')).toBe('  9) a\n  10) |');
  expect(pressed('Enter', '> a\n> |')).toBe('> a\n|');
  expect(pressed('Enter', '|- a')).toBe('\n|- a');
  expect(pressed('Enter', '- a|b|c')).toBe('- a\n- |c');
  expect(pressed('Tab', 'a|b')).toBe('a  |b');
  expect(pressed('Tab', 'a|b\nc|d')).toBe('  a|b\n  c|d');
  expect(pressed('Tab', '  a|b\n c|d', true)).toBe('a|b\nc|d');
});

test('it is said aloud that nothing is saved, and that it is again, but not every letter', () => {
  const states = [
    'loading',
    'saved',
    'saving',
    'saved',
    'offline',
    'saving',
    'saved',
    'saving',
    'saved',
  ] as const;
  let said = '';
  const heard = new Set<string>();
  for (const state of states) {
    said = spokenWords(state, said);
    if (said) heard.add(said);
  }
  expect([...heard]).toEqual([`Offline. ${stateWords('offline').text}`, 'All changes are saved.']);
  expect(spokenWords('replaced', said)).toMatch(/^Not saved\. /);
});
