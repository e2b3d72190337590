import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CLOSE_UNAUTHENTICATED, parseClose } from '../src/protocol/close.js';
import { ERROR_CODES, LOCAL_CODES } from '../src/protocol/codes.js';

interface Listed {
  code: string;
  close: number | null;
  retryable: boolean;
}

const path = new URL('../../spec/errors.json', import.meta.url);
const { codes, client_codes } = JSON.parse(readFileSync(path, 'utf8')) as {
  codes: Listed[];
  client_codes: Listed[];
};

describe('codes', () => {
  it('are those of spec/errors.json (ERR-1)', () => {
    expect([...ERROR_CODES].sort()).toEqual(codes.map(({ code }) => code).sort());
  });

  it('of its own are those of spec/errors.json', () => {
    expect([...LOCAL_CODES]).toEqual(client_codes.map(({ code }) => code));
  });

  it('close codes come back or not as the file says (CLOSE-1, CLOSE-2)', () => {
    const closing = codes.filter(({ close }) => close !== null && close >= 4000);
    expect(closing.length).toBeGreaterThan(4);
    for (const { code, close } of closing) {
      expect(parseClose(close as number, code), code).toMatchObject({
        reason: code,
        retryable: (close as number) < 4500,
      });
    }
    expect(codes.find(({ code }) => code === 'unauthenticated')?.close).toBe(CLOSE_UNAUTHENTICATED);
  });

  it('reads the wait in a close reason, and nothing else (CLOSE-3)', () => {
    expect(parseClose(1012, 'going_away 800')).toMatchObject({ reason: 'going_away', retryAfterMs: 800 });
    for (const text of ['', 'Going away', 'going_away soon', 'going_away -5', 'going_away 99999999999']) {
      expect(parseClose(1012, text)).toMatchObject({ reason: undefined, retryAfterMs: 0, retryable: true });
    }
  });
});
