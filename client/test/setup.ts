import { vi } from 'vitest';

// What every connection loads, so that it takes no time where a clock is fake.
await Promise.all([import('../src/client/device.js'), import('../src/transport/http/state.js')]);

const real = globalThis.fetch;

// Most tests name a server `h` that there is not: nothing of them may go out to look for it.
vi.stubGlobal('fetch', (input: string | URL | Request, init?: RequestInit) =>
  new URL(input instanceof Request ? input.url : input).hostname === 'h'
    ? Promise.reject(new TypeError('there is no such server'))
    : real(input, init),
);
