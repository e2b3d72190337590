/** The addresses of one server. */
export interface Addresses {
  /** `/v1/ws`, with scheme ws or wss. */
  socket: string;
  /** The API's root without a trailing slash: room reads are at `${api}/v1/rooms/…`. */
  api: string;
}

/**
 * Makes the addresses from the server's URL (http, https, ws or wss; a path before `/v1` is kept).
 * A relative one is resolved against the page. Throws a TypeError where there is no page to resolve against.
 */
export function addresses(url: string | URL): Addresses {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  const base = new URL(url, page);
  base.search = base.hash = '';
  const root = base.href.replace(/\/+$/, '');
  return { socket: `${root.replace(/^http/, 'ws')}/v1/ws`, api: root.replace(/^ws/, 'http') };
}
