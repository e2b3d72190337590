import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const binary = fileURLToPath(new URL('../../bin/roomlog', import.meta.url));
const announced = /http:\/\/127\.0\.0\.1:(\d+)/;

/** An event as the server stores it. */
export interface Stored {
  readonly seq: number;
  readonly author: string;
  readonly tag: string;
  readonly data: { readonly text?: string };
}

/** The real server in dev mode, on a free port and a data folder of its own. Stop it in the end. */
export class Server {
  #process: ChildProcess | undefined;
  #port = '0';

  private constructor(
    readonly data: string,
    private readonly flags: readonly string[],
  ) {}

  /**
   * Starts one. Rejects with what it printed when it ends instead of serving.
   * @param prepare puts into its data folder what it needs, and gives further flags
   */
  static async start(prepare?: (data: string) => Promise<readonly string[]>): Promise<Server> {
    const data = await mkdtemp(join(tmpdir(), 'roomlog-e2e-'));
    const server = new Server(data, (await prepare?.(data)) ?? []);
    await server.restart();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts it again, on the same port and data. */
  async restart(): Promise<void> {
    const args = ['dev', '--listen', `127.0.0.1:${this.#port}`, '--data', this.data, ...this.flags];
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    let printed = '';
    this.#port = await new Promise<string>((resolve, reject) => {
      const read = (chunk: Buffer) => {
        printed += chunk.toString();
        const port = announced.exec(printed)?.[1];
        if (port) resolve(port);
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.once('error', reject);
      child.once('exit', code => reject(new Error(`the server ended with ${code}:\n${printed}`)));
    });
  }

  /** kill -9: no goodbye, no flush. Resolves when the process is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Stops it and removes its data. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await rm(this.data, { recursive: true, force: true });
  }

  /** All events of a room, in the order of the store. */
  async log(room: string): Promise<Stored[]> {
    const headers = { Authorization: `Bearer ${await this.#token()}` };
    const events: Stored[] = [];
    for (;;) {
      const after = events.at(-1)?.seq ?? 0;
      const answer = await fetch(`${this.url}/v1/rooms/${room}/events?after=${after}&limit=500`, { headers });
      if (!answer.ok) throw new Error(`read the log: ${answer.status} ${await answer.text()}`);
      const page = (await answer.json()) as { head: number; events: Stored[] };
      events.push(...page.events);
      if (page.events.length === 0 || page.events.at(-1)?.seq === page.head) return events;
    }
  }

  /** The first seq that a room keeps. */
  async floor(room: string): Promise<number> {
    const headers = { Authorization: `Bearer ${await this.#token()}` };
    const answer = await fetch(`${this.url}/v1/rooms/${room}`, { headers });
    return ((await answer.json()) as { floor: number }).floor;
  }

  /** Stores messages of one author over plain HTTP, one after the other. */
  async post(room: string, author: string, texts: readonly string[]): Promise<void> {
    const headers = {
      Authorization: `Bearer ${await this.#token(author)}`,
      'Content-Type': 'application/json',
    };
    for (const text of texts) {
      const body = JSON.stringify({ tag: randomUUID(), type: 'message', data: { text } });
      const answer = await fetch(`${this.url}/v1/rooms/${room}/events`, { method: 'POST', headers, body });
      if (answer.status !== 201) throw new Error(`store a message: ${answer.status} ${await answer.text()}`);
    }
  }

  /** Keeps a user out of a room. */
  async ban(room: string, user: string): Promise<void> {
    const headers = { Authorization: `Bearer ${await this.#token()}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${this.url}/v1/rooms/${room}/bans/${user}`, {
      method: 'PUT',
      headers,
      body: '{}',
    });
    if (!answer.ok) throw new Error(`ban: ${answer.status} ${await answer.text()}`);
  }

  async #token(user = 'reader'): Promise<string> {
    const answer = await fetch(`${this.url}/v1/dev/token?user=${user}`);
    return ((await answer.json()) as { token: string }).token;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}
