import * as Y from 'yjs';
import type { ClientStorage, StoredDoc } from '../../src/index.js';
import type { TestRefusal, TestServer } from '../../src/testing/index.js';
import { memoryStorage } from './memory.js';

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

/** Documents for a server in memory: what DOC-6, DOC-7, DOC-9 and DOC-13 say, made by Yjs from the log. */
export class TestDocs {
  /** Requests that were answered, such as `GET 412`. */
  readonly asked: string[] = [];
  /** The ids of updates that were refused, since the room had another document. */
  readonly refused: string[] = [];
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
    server.beforeAppend(({ room, type, data }) =>
      type === 'doc' ? this.#refuses(room, data as { doc: string; id?: string }) : undefined,
    );
  }

  /** An update of another document than there is. */
  #refuses(room: string, { doc, id }: { doc: string; id?: string }): TestRefusal | undefined {
    const isOther = id !== undefined && id !== this.of(room, doc)?.id;
    if (isOther) this.refused.push(id);
    return isOther ? { code: 'doc_replaced', field: 'data/id' } : undefined;
  }

  /** The document as the log has it; undefined where there is none. Its id is the tag of its first event. */
  of(room: string, name = 'main'): { id: string; update: Uint8Array } | undefined {
    const events = this.#server
      .log(room)
      .filter(({ type, data }) => type === 'doc' && (data as { doc: string }).doc === name);
    if (!events[0]) return undefined;
    const ydoc = new Y.Doc();
    for (const { data } of events) Y.applyUpdate(ydoc, bytesOf((data as { update: string }).update));
    return { id: events[0].tag, update: Y.encodeStateAsUpdate(ydoc) };
  }

  /** Its text. */
  text(room: string, name = 'main'): string {
    const ydoc = new Y.Doc();
    const { update } = this.of(room, name) ?? {};
    if (update) Y.applyUpdate(ydoc, update);
    return ydoc.getText('t').toString();
  }

  /** For the clients: what the server's own `fetch` answers, and documents. */
  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const [, room = '', name = ''] = /^\/v1\/rooms\/([^/]+)\/docs\/([^/]+)$/.exec(url.pathname) ?? [];
    if (!name) return this.#server.fetch(input, init);
    const through = { signal: init?.signal ?? null };
    await this.#server.fetch(`${this.#server.url}/healthz`, through); // by the same network
    const id = decodeURIComponent(room);
    if (init?.method === 'POST') {
      const of = url.searchParams.get('id');
      if (this.#refuses(id, { doc: name, ...(of && { id: of }) }))
        return Response.json({ code: 'doc_replaced', title: '', retryable: false }, { status: 409 });
      const update = Buffer.from(init.body as Uint8Array).toString('base64');
      const { seq, tag } = this.#server.append(id, { type: 'doc', data: { doc: name, update } });
      this.asked.push(`POST ${update.length}`);
      return Response.json({ room: id, seq, doc: name, tag }, { status: 201 });
    }
    const doc = this.of(id, name);
    const all = doc?.update ?? new Uint8Array([0, 0]);
    const update = Y.diffUpdate(all, bytesOf(url.searchParams.get('sv') ?? ''));
    this.asked.push(`GET ${update.length}`);
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    return Response.json({
      room: id,
      id: doc?.id,
      vector: base64(Y.encodeStateVectorFromUpdate(all)),
      update: base64(update),
    });
  };
}

/** As `memoryStorage`, documents too. */
export function docStorage(): () => ClientStorage {
  const of = memoryStorage();
  const kept: { n: number; key: string; id: string | undefined; update: Uint8Array }[] = [];
  let n = 0;
  return () => ({
    ...of(),
    docs: owner => {
      const keyOf = (room: string, doc: string) => JSON.stringify([owner, room, doc]);
      const clear = (key: string, upTo: number) => {
        for (const each of kept.filter(each => each.key === key && each.n <= upTo))
          kept.splice(kept.indexOf(each), 1);
      };
      return {
        read: async (room, doc): Promise<StoredDoc | undefined> => {
          const all = kept.filter(({ key }) => key === keyOf(room, doc));
          const last = all.at(-1);
          const id = all.findLast(each => each.id !== undefined)?.id;
          const mine = all.filter(each => each.id === undefined || each.id === id);
          return last && { id, updates: mine.map(({ update }) => update), upTo: last.n };
        },
        add: (room, doc, id, update, upTo = 0) => {
          const key = keyOf(room, doc);
          clear(key, upTo);
          kept.push({ n: ++n, key, id, update });
        },
        delete: (room, doc) => clear(keyOf(room, doc), n),
        close: async () => {},
      };
    },
  });
}
