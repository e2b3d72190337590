import { devToken, Refused } from '../guest/devapi.ts';
import { isText, Kept } from '../model/kept.ts';
import { script, wordEnds } from '../model/script.ts';
import { Value } from '../model/value.ts';

/** Who answers: a user of its own, whom a server in dev mode lets in. */
const author = 'Demo';

/** How long a word takes. */
const wordMs = 90;

/** An answer that is being given, and all that it takes to go on with it, as after a reload. */
interface Answer {
  readonly room: string;
  /** That of the question, too, which another author sent: each question has one answer. */
  readonly tag: string;
  /** The seq of the question. */
  readonly about: number;
}

/** What the server says to a request about a stream. */
interface Told {
  readonly ok: boolean;
  readonly seq: number;
  readonly offset: number;
  readonly code?: string;
  readonly title?: string;
  readonly limit?: number;
  readonly retryable?: boolean;
}

/**
 * Gives scripted answers as messages that stream (PART). The page itself is their producer, as a backend would be of what a model says:
 * each request is repeated until it is answered, and nothing is said twice.
 */
class Answers {
  readonly #given = new Kept<readonly Answer[]>('roomlog.answers', kept =>
    Array.isArray(kept) ? kept.filter(isAnswer) : [],
  );
  /** The rooms in which an answer is being given. */
  readonly rooms = new Value<readonly string[]>([]);
  /** Why the last one could not be. */
  readonly failure = new Value('');
  readonly #stopped = new Set<string>();
  #token: string | undefined;

  constructor() {
    for (const answer of this.#given.get()) void this.#give(answer);
  }

  /** Begins to answer a question. */
  ask(answer: Answer): void {
    this.#given.update(given => [...given, answer]);
    void this.#give(answer);
  }

  /** Stops what is being answered in a room: it stays as far as it came. */
  stop(room: string): void {
    for (const answer of this.#given.get()) if (answer.room === room) this.#stopped.add(answer.tag);
  }

  async #give(answer: Answer): Promise<void> {
    this.#tell('');
    try {
      await this.#say(answer);
      this.#end(answer, '');
    } catch (cause) {
      this.#end(answer, cause instanceof Error ? `The demo cannot answer: ${cause.message}` : '');
    }
  }

  async #say({ room, tag, about }: Answer): Promise<void> {
    const streams = `/v1/rooms/${room}/streams`;
    const { seq } = await this.#ask('POST', streams, {
      tag,
      data: { text: '', streamed: true, reply_to: about },
    });
    const path = `${streams}/${seq}`;
    const whole = new TextEncoder().encode(script);
    // After a reload the server knows best how far we came.
    let told = await this.#ask('POST', path, { offset: 0, text: '' }, true);
    do {
      for (const end of wordEnds(script)) {
        while (told.ok ? told.offset < end : told.code === 'bad_position') {
          if (this.#stopped.has(tag)) {
            await this.#ask('DELETE', path, undefined, true);
            return;
          }
          const offset = told.ok ? told.offset : (told.limit ?? 0);
          const text = new TextDecoder().decode(whole.subarray(offset, end));
          await pause(wordMs);
          told = await this.#ask('POST', path, { offset, text }, true);
        }
      }
      // Where the lease has ended meanwhile, the message has been aborted, and there is nothing to finish.
      if (!told.ok) return;
      told = await this.#ask('POST', `${path}/finish`, { offset: whole.length }, true);
    } while (told.code === 'bad_position'); // what had not been kept went with its node
  }

  #end({ tag }: Answer, failure: string): void {
    this.#stopped.delete(tag);
    this.#given.update(given => given.filter(answer => answer.tag !== tag));
    this.#tell(failure);
  }

  #tell(failure: string): void {
    this.failure.set(failure);
    this.rooms.set([...new Set(this.#given.get().map(({ room }) => room))]);
  }

  /** Makes a request until it is answered for good. A refusal throws, unless it is `expected`. */
  async #ask(method: string, path: string, body?: object, expected = false): Promise<Told> {
    for (let tries = 0; ; tries++) {
      const told = await this.#tryToAsk(method, path, body);
      if (told?.ok || (told && !told.retryable && expected)) return told;
      if (told && !told.retryable) throw new Refused(0, told.title ?? '');
      await pause(Math.min(100 * 2 ** tries, 2_000));
    }
  }

  /** Undefined without an answer. */
  async #tryToAsk(method: string, path: string, body?: object): Promise<Told | undefined> {
    try {
      this.#token ??= (await devToken(author)).token;
      const headers = { Authorization: `Bearer ${this.#token}`, 'Content-Type': 'application/json' };
      const answer = await fetch(path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      if (answer.status === 401) this.#token = undefined;
      return { ...(await answer.json()), ok: answer.ok, ...(answer.status === 401 && { retryable: true }) };
    } catch (cause) {
      if (cause instanceof Refused) throw cause;
      return undefined;
    }
  }
}

function isAnswer(kept: unknown): kept is Answer {
  if (typeof kept !== 'object' || kept === null) return false;
  const { room, tag, about } = kept as Partial<Answer>;
  return isText(room) && isText(tag) && Number.isInteger(about);
}

const pause = (ms: number) => new Promise(done => setTimeout(done, ms));

/** The answers that this tab gives. */
export const answers = new Answers();
