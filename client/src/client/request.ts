import type { Core } from './core.js';

/** What requests beside the connection need. */
export interface RequestNeeds {
  core: Core;
  /** The API's root. */
  api(): string;
  fetch: typeof fetch;
  /** A token; another one than that which was refused. */
  token(refused: string | undefined, signal: AbortSignal): Promise<string>;
}

/** Makes a request, once more where its token was refused. Rejects where no answer comes within so many milliseconds. */
export async function request(
  { api, fetch, token }: RequestNeeds,
  path: string,
  ms: number,
  init: RequestInit = {},
): Promise<Response> {
  const signal = AbortSignal.timeout(ms);
  const ask = async (refused?: string) => {
    const current = await inTime(token(refused, signal), signal);
    const headers = { ...init.headers, authorization: `Bearer ${current}` };
    return { current, answer: await fetch(api() + path, { ...init, headers, signal }) };
  };
  const { current, answer } = await ask();
  return answer.status === 401 ? (await ask(current)).answer : answer;
}

/** What is waited for, or a rejection when the signal is aborted: a token callback may ignore it. */
function inTime<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([promise, late]);
}
