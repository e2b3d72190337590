import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Asked } from './asked.ts';

const binary = fileURLToPath(new URL('../../bin/roomlog', import.meta.url));
const announced = /http:\/\/127\.0\.0\.1:(\d+)/;

/** The real server in dev mode, on a free port and a data folder of its own. Stop it in the end. */
export class Server extends Asked {
  #process: ChildProcess | undefined;
  #port = '0';

  private constructor(
    readonly data: string,
    private readonly flags: readonly string[],
  ) {
    super();
  }

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

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}
