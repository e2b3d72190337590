/** A token that only a server in dev mode gives. Times are epoch milliseconds. */
export interface DevToken {
  readonly token: string;
  /** Until when it is good. */
  readonly expiresAt: number;
  /** What the server's clock said, to the second. */
  readonly serverTime: number;
}

/** A fault proxy of the server, in front of the server itself. */
export interface Tunnel {
  readonly id: string;
  /** Where it listens, such as http://127.0.0.1:41234. */
  readonly url: string;
  /** Where its node is told what to do with it: behind a load balancer, other nodes do not know it. */
  readonly control: string;
}

/** A request that the server answered with a refusal. Without an answer, fetch's own TypeError is thrown instead. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    title: string,
  ) {
    super(title);
    this.name = 'Refused';
  }

  /** Whether asking again may help; false tells the client to stop asking for a token. */
  get retryable(): boolean {
    return this.status >= 500 || this.status === 429;
  }
}

/** Asks for a token for `user`. @throws Refused when the server is not in dev mode. */
export async function devToken(user: string, signal?: AbortSignal): Promise<DevToken> {
  const answer = await ask(`/v1/dev/token?user=${encodeURIComponent(user)}`, signal ? { signal } : {});
  const body = (await answer.json()) as { token: string; expires_at: string };
  const said = Date.parse(answer.headers.get('Date') ?? '');
  return {
    token: body.token,
    expiresAt: Date.parse(body.expires_at),
    serverTime: Number.isNaN(said) ? Date.now() : said,
  };
}

/** Opens a tunnel through which everything passes. @throws Refused when there are none, or none left. */
export async function openTunnel(): Promise<Tunnel> {
  return (await ask('/v1/dev/tunnels', { method: 'POST' })).json() as Promise<Tunnel>;
}

/** Whether the tunnel is still there; tunnels end with the process of their node. */
export async function tunnelExists(tunnel: Tunnel): Promise<boolean> {
  try {
    await ask(tunnel.control);
    return true;
  } catch (cause) {
    // Without an answer the node may be gone for good: another one opens another tunnel, if there is one.
    if (!(cause instanceof Refused) || cause.status === 404) return false;
    throw cause;
  }
}

/** Lets nothing pass the tunnel, in either direction and without a close, or everything again. */
export async function holdTunnel(tunnel: Tunnel, held: boolean): Promise<void> {
  await ask(tunnel.control, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ open: held }),
  });
}

/** Closes a tunnel, also while the page is being left; what becomes of the request is not known. */
export function leaveTunnel(tunnel: Tunnel): void {
  fetch(tunnel.control, { method: 'DELETE', keepalive: true }).catch(() => {}); // the server sweeps idle ones
}

/** The newest seq of a room, asked over plain HTTP: beside any tunnel. */
export async function headOf(room: string, token: string): Promise<number> {
  const answer = await ask(`/v1/rooms/${room}/events?after=0&limit=1`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  return ((await answer.json()) as { head: number }).head;
}

/** What the server says of itself. */
export interface Health {
  readonly version: string;
  readonly store: string;
  readonly durability: string;
}

/** Asks the server what it is. */
export async function health(): Promise<Health> {
  return (await ask('/healthz')).json() as Promise<Health>;
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(path, { cache: 'no-store', ...init });
  if (answer.ok) return answer;
  const problem = (await answer.json().catch(() => ({}))) as { title?: string };
  throw new Refused(answer.status, problem.title ?? `The server answered ${answer.status}.`);
}
