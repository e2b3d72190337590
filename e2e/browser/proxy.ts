import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

const binary = fileURLToPath(new URL('../../bin/roomlog', import.meta.url));

/** A fault as the proxy takes it: see `roomlog chaos`. */
export interface Fault {
  readonly kind: 'healthy' | 'cut' | 'cut-after' | 'blackhole' | 'delay' | 'throttle' | 'expire' | 'refuse';
  /** The path with which a connection's first request begins. */
  readonly class?: string;
  readonly direction?: 'up' | 'down';
  readonly bytes?: number;
  /** For `expire`: how old a connection gets, in milliseconds. */
  readonly age_ms?: number;
}

/** `roomlog chaos` in front of a server, on a free port. Stop it in the end. */
export class FaultProxy {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    private readonly control: string,
  ) {}

  /** Starts one in front of the server at `url`. Rejects with what it printed when it ends instead. */
  static async start(url: string): Promise<FaultProxy> {
    const args = ['chaos', '--to', new URL(url).host, '--control', '127.0.0.1:0'];
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let printed = '';
    return new Promise((resolve, reject) => {
      const read = (chunk: Buffer) => {
        printed += chunk.toString();
        const [, listen, control] = /proxy +(\S+) ->.*control +(\S+)\n/s.exec(printed) ?? [];
        if (listen && control) resolve(new FaultProxy(child, `http://${listen}`, control));
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.once('error', reject);
      child.once('exit', code => reject(new Error(`the proxy ended with ${code}:\n${printed}`)));
    });
  }

  /** Sets a fault for connections of its class, in place of an earlier one. */
  fault(fault: Fault): Promise<void> {
    return this.#post('fault', fault);
  }

  /** Cuts the connections of a class that there are. */
  cut(className: string): Promise<void> {
    return this.#post('cut', { class: className });
  }

  /** Ends all faults. */
  heal(): Promise<void> {
    return this.#post('heal', {});
  }

  async stop(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await gone;
  }

  async #post(path: string, body: object): Promise<void> {
    const answer = await fetch(`${this.control}/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`the proxy: ${answer.status} ${await answer.text()}`);
  }
}

/** A proxy of the old kind in front of the server at `url`: it knows no upgrades, and holds an answer until it has all of it. */
export async function holdingProxy(url: string): Promise<{ url: string; stop(): void }> {
  const proxy = createServer(async (asked, answer) => {
    const { method, headers } = asked;
    const there = request(`${url}${asked.url}`, { method, headers }, async got => {
      const chunks: Buffer[] = [];
      got.on('data', chunk => chunks.push(chunk));
      got.on('error', () => answer.destroy());
      got.on('end', () => answer.writeHead(got.statusCode ?? 502, got.headers).end(Buffer.concat(chunks)));
    });
    there.on('error', () => answer.destroy());
    answer.on('close', () => there.destroy());
    asked.pipe(there);
  });
  proxy.on('upgrade', (_, socket) => socket.destroy());
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    stop: () => {
      proxy.close();
      proxy.closeAllConnections();
    },
  };
}
