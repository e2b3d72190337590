import { expect, test } from 'vitest';
import { anyQuestion, questionIn, wordEnds } from '../src/model/script.ts';

test('a command asks; a text that only looks like one does not', () => {
  expect(questionIn('/ask Why?')).toBe('Why?');
  expect(questionIn('/ask\nWhy,\nand how?')).toBe('Why,\nand how?');
  expect(questionIn('/ask')).toBe(anyQuestion);
  for (const text of ['/asking', 'ask', ' /ask why', '/', 'a /ask b']) expect(questionIn(text)).toBe(null);
});

test('words end at offsets of bytes, never within a character', () => {
  expect(wordEnds('a – b 🙂')).toEqual([1, 5, 7, 12]);
  expect(wordEnds('')).toEqual([]);
});
