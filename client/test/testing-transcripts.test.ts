import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createTestServer, type TestServer } from '../src/testing/index.js';
import type { Frame } from './fake/socket.js';
import { Names, type Step, type Transcript } from './transcript.js';

// The conversations that the real server is held to (server/transport/transcript_test.go), with the server in memory in
// its place: the client's frames go in, and what comes out has to match.

const folder = new URL('../../spec/transcripts/', import.meta.url);
const transcripts = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .map(name => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Transcript)
  .filter(transcript => transcript.for.includes('go'));

type Socket = InstanceType<TestServer['WebSocket']>;

/** Plays the client of one transcript. */
class ClientReplay {
  readonly #server = createTestServer();
  readonly #transcript: Transcript;
  readonly #names: Names;
  #socket: Socket | undefined;
  #came: (Frame | { closed: number })[] = [];

  constructor(transcript: Transcript) {
    this.#transcript = transcript;
    this.#names = new Names(this.#token('u1'));
  }

  async run(): Promise<void> {
    for (const step of this.#transcript.steps) await this.#step(step);
    expect(this.#came, 'frames that the transcript does not have').toEqual([]);
    this.#socket?.close();
    await new Promise(setImmediate);
    expect(this.#server.connections).toEqual([]);
  }

  #token(user: string): string {
    return this.#server.token(user, user === 'u1' ? this.#transcript.grants : undefined);
  }

  async #step(step: Step): Promise<void> {
    if (step.client && !step.lost)
      await this.#send(JSON.stringify(this.#names.make({ ...step.client, ...step.go })));
    else if (step.raw !== undefined) await this.#send(step.raw);
    else if (step.server) this.#names.match(step.server, this.#next());
    else if (step.any_order) this.#anyOrder(step.any_order.map(({ server }) => server));
    else if (step.http) await this.#request(step.http);
    else if (step.drop) {
      this.#socket?.close();
      this.#socket = undefined;
      this.#came = [];
    } else if (step.close !== undefined) {
      expect(this.#next()).toEqual({ closed: step.close });
      this.#socket = undefined;
    }
    await new Promise(setImmediate);
  }

  async #send(text: string): Promise<void> {
    this.#socket ??= await this.#dial();
    this.#socket.send(text);
  }

  #dial(): Promise<Socket> {
    return new Promise(resolve => {
      const socket = new this.#server.WebSocket(`${this.#server.url}/v1/ws`);
      socket.onopen = () => resolve(socket);
      socket.onmessage = ({ data }: { data: string }) => this.#came.push(JSON.parse(data));
      socket.onclose = ({ code }: { code: number }) => this.#came.push({ closed: code });
    });
  }

  #next(): unknown {
    const next = this.#came.shift();
    if (!next) throw new Error('the server has said nothing');
    return next;
  }

  #anyOrder(want: Frame[]): void {
    const left = [...want];
    while (left.length > 0) {
      const got = this.#next();
      const index = left.findIndex(frame => this.#names.matches(frame, got));
      expect(index, `${JSON.stringify(got)} is none of ${JSON.stringify(left)}`).toBeGreaterThanOrEqual(0);
      left.splice(index, 1);
    }
  }

  async #request({ as = 'u1', method, path, body, status, response }: NonNullable<Step['http']>) {
    const answer = await this.#server.fetch(`${this.#server.url}${this.#names.make(path)}`, {
      method,
      headers: { authorization: `Bearer ${this.#token(as)}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(this.#names.make(body)) }),
    });
    const got = await answer.json();
    expect(answer.status, JSON.stringify(got)).toBe(status);
    this.#names.match(response, got);
  }
}

describe('the server in memory keeps the transcripts of the real one', () => {
  it('there are some', () => {
    expect(transcripts.length).toBeGreaterThan(30);
  });

  for (const transcript of transcripts) {
    it(`${transcript.name}: ${transcript.rules.join(' ')}`, () => new ClientReplay(transcript).run());
  }
});
