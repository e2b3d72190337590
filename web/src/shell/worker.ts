// The service worker of the chat. It keeps the files of the page itself, so that the page opens while the server is away
// or the device offline; what was said and what is unsent, the client keeps. It answers for the document and for files
// whose names carry a hash of their content. Everything else, the API above all, goes past it.

import type { Shell } from './shell.ts';

const worker = self as unknown as ServiceWorkerGlobalScope;

/** Put here by the build (shell.ts beside vite.config.ts). */
declare const __SHELL__: Shell;
const { build, page, files, named } = __SHELL__;

const prefix = 'shell of the chat, build ';
const mine = `${prefix}${build}`;

/** How long the server may take until it counts as away: what is kept is shown then. */
const patienceMs = 3_000;

worker.addEventListener('install', event => event.waitUntil(keep()));
worker.addEventListener('activate', event => event.waitUntil(tidy()));
worker.addEventListener('fetch', event => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin) return;
  if (request.mode === 'navigate' && pathname === page) event.respondWith(open(request));
  else if (pathname.startsWith('/assets/')) event.respondWith(find(request));
});

/** Fetches all files of this build; half of them would be worse than none. */
async function keep(): Promise<void> {
  const cache = await caches.open(mine);
  await cache.addAll(files);
  const document = await fetch(page, { cache: 'no-cache' });
  // While a server is being replaced, the document may be of another build than this.
  const text = await document.clone().text();
  if (!document.ok || !named.every(file => text.includes(file)))
    throw new Error('The document is of another build.');
  await cache.put(page, document);
  await worker.skipWaiting();
}

/** Forgets older builds but the last: a tab that was open before an upgrade may still load parts of it. */
async function tidy(): Promise<void> {
  const kept = (await caches.keys()).filter(name => name.startsWith(prefix) && name !== mine);
  await Promise.all(kept.slice(0, -1).map(name => caches.delete(name)));
}

/** The document as the server has it, so that it is never old; where the server is away, as it was kept. */
async function open(request: Request): Promise<Response> {
  const answer = fetch(request);
  const late = new Promise<undefined>(done => setTimeout(() => done(undefined), patienceMs));
  const inTime = await Promise.race([answer.catch(() => undefined), late]);
  // There is no chat here any more, perhaps not even a Roomlog: then no shell either.
  if (inTime?.status === 404) await worker.registration.unregister();
  if (inTime && !isGateway(inTime)) return inTime;
  return (await caches.match(page, { cacheName: mine })) ?? answer;
}

/** A proxy's word for a server that is away. */
function isGateway({ status }: Response): boolean {
  return status === 502 || status === 503 || status === 504;
}

/** A file of any build that is kept. Its name carries its hash, so it is never old. */
async function find(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? fetch(request);
}
