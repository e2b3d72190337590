import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Asked } from './asked.ts';

const program = fileURLToPath(new URL('../../scripts/cluster.sh', import.meta.url));

/** Three nodes with PostgreSQL, Redis and HAProxy: those of `make cluster`. Stop it in the end. */
export class Cluster extends Asked {
  #url = '';
  /** The nodes' own addresses, by their names. */
  readonly nodes = new Map<string, string>();
  readonly #child: ChildProcess;
  readonly #printed: string[] = [];
  readonly #waiting = new Map<string, (why: string | undefined) => void>();
  #isStopping = false;

  private constructor() {
    super();
    this.#child = spawn(program, ['--commands'], { stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** Starts one. Rejects with what it printed when it ends instead. */
  static async start(): Promise<Cluster> {
    const cluster = new Cluster();
    await cluster.#up();
    return cluster;
  }

  /** The origin of the load balancer. */
  get url(): string {
    return this.#url;
  }

  /** Ends parts and starts them again: see `--commands` of scripts/cluster. Resolves when it is done. */
  command(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(line, why => (why === undefined ? resolve() : reject(new Error(`${line}: ${why}`))));
      this.#child.stdin?.write(`${line}\n`);
    });
  }

  /** Resolves when the load balancer sends requests to a node again. */
  async serves(node: string): Promise<void> {
    for (;;) {
      const answer = await fetch(`${this.url}/healthz`);
      if (answer.ok && ((await answer.json()) as { node: string }).node === node) return;
      await pause(20); // between two questions to another process
    }
  }

  /**
   * Stores messages of one author at a pace over plain HTTP, each until it is stored, as a client has to.
   * @returns what ends it, and gives the texts
   */
  async write(room: string, author: string, everyMs: number): Promise<() => Promise<string[]>> {
    const headers = {
      Authorization: `Bearer ${await this.token(author)}`,
      'Content-Type': 'application/json',
    };
    const stored: string[] = [];
    let ends = false;
    const store = async (text: string) => {
      const body = JSON.stringify({ tag: randomUUID(), type: 'message', data: { text } });
      for (;;) {
        // Without an answer, and where a node is about to go, the same tag is sent again (TAG-3).
        const answer = await fetch(`${this.url}/v1/rooms/${room}/events`, {
          method: 'POST',
          headers,
          body,
        }).catch(() => undefined);
        if (answer?.ok) return;
        if (answer && answer.status < 500)
          throw new Error(`store a message: ${answer.status} ${await answer.text()}`);
        await pause(everyMs);
      }
    };
    const writing = (async () => {
      while (!ends) {
        const text = `${author} ${stored.length + 1}`;
        const [stores] = await Promise.all([store(text), pause(everyMs)]);
        void stores;
        stored.push(text);
      }
    })();
    writing.catch(() => {}); // told by what ends it
    return async () => {
      ends = true;
      await writing;
      return stored;
    };
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin?.end();
    const [code] = await gone;
    if (code !== 0) throw new Error(`the cluster ended with ${code}:\n${this.#printed.join('\n')}`);
  }

  #up(): Promise<void> {
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error('its output is not read');
    return new Promise((resolve, reject) => {
      createInterface(stderr).on('line', line => this.#printed.push(line));
      createInterface(stdout).on('line', line => {
        this.#printed.push(line);
        this.#url ||= /^ {2}(http:\S+)$/.exec(line)?.[1] ?? '';
        const [, name, at] = /^ {2}node (\S+) +(\S+)$/.exec(line) ?? [];
        if (name && at) this.nodes.set(name, at);
        if (line.startsWith('  Commands: ')) resolve();
        const [, how, command = '', why] = /^([=!]) (.*?)(?:: (.*))?$/.exec(line) ?? [];
        if (!how) return;
        this.#waiting.get(command)?.(how === '!' ? (why ?? 'refused') : undefined);
        this.#waiting.delete(command);
      });
      this.#child.once('error', reject);
      this.#child.once('exit', code => {
        const why = `the cluster ended with ${code}:\n${this.#printed.join('\n')}`;
        reject(new Error(why));
        if (!this.#isStopping) for (const told of this.#waiting.values()) told(why);
      });
    });
  }
}
