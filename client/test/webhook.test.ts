import { readFileSync } from 'node:fs';
import { Webhook } from 'standardwebhooks';
import { afterEach, expect, test, vi } from 'vitest';

type Signed = { secret: string; id: string; timestamp: number; body: string; signature: string };

const signed = JSON.parse(
  readFileSync(new URL('../../server/webhook/testdata/signed.json', import.meta.url), 'utf8'),
) as Signed[];

afterEach(() => vi.useRealTimers());

// HOOK-15: what the server signs is verified by the library of Standard Webhooks, and nothing else is.
test.each(signed)('the delivery $id is verified', ({ secret, id, timestamp, body, signature }) => {
  vi.useFakeTimers({ now: timestamp * 1000 });
  const webhook = new Webhook(secret);
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signature,
  };
  expect(webhook.sign(id, new Date(timestamp * 1000), body)).toBe(signature);
  if (body !== '') expect(webhook.verify(body, headers)).toEqual(JSON.parse(body));
  expect(() => webhook.verify(`${body} `, headers)).toThrow();
  expect(() => webhook.verify(body, { ...headers, 'webhook-id': 'other' })).toThrow();
});
