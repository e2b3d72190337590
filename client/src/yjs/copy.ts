import * as Y from 'yjs';
import type { RoomHost } from '../client/host.js';
import type { DocBox } from '../client/storage.js';

/** How long updates of others gather until they are written: without them the copy is only older. */
const GATHER_MS = 1_000;
/** After how many writes the copy is made one update again. */
const MAX_WRITES = 256;

/** The update that says nothing: written for the id that comes with it. */
const NOTHING = new Uint8Array([0, 0]);

/** The copy of a document in the storage of its user, if there is a storage: what is written here is in it before it is sent. */
export class DocCopy {
  /** Which document it is a copy of, as far as that is known. */
  id: string | undefined;

  /** Whose it is, once that is known. What one user wrote is never another's. */
  user: string | undefined;

  readonly #host: RoomHost;
  readonly #name: string;
  readonly #ydoc: Y.Doc;
  #waiting: Uint8Array[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writes = 0;
  /** Something came while nothing was kept. */
  #missed = false;
  #gone = false;

  constructor(host: RoomHost, name: string, ydoc: Y.Doc) {
    this.#host = host;
    this.#name = name;
    this.#ydoc = ydoc;
  }

  /** Whether it belongs to the user of the moment. */
  get isOurs(): boolean {
    return this.user === this.#host.session.user;
  }

  /** Reads what is kept into the document, as a change whose origin is the copy itself. It never rejects. */
  async read(): Promise<void> {
    this.user ??= this.#host.session.user;
    if (!this.#host.keeper.keepsWindows) return;
    const kept = await this.#tell((box, room) => box.read(room, this.#name));
    // Another tab may have begun with another document of this name.
    this.id ??= kept?.id;
    const isSame = this.id === kept?.id;
    const { upTo, updates } = (isSame && kept) || { upTo: 0, updates: [] };
    const apply = () => {
      for (const update of updates) this.apply(update, this);
    };
    Y.transact(this.#ydoc, apply, this, false);
    if (this.#missed || updates.length >= MAX_WRITES) this.#add(Y.encodeStateAsUpdate(this.#ydoc), upTo);
    this.#missed = false;
  }

  /** Lays an update over the document; what is none, whoever made it, is left out. */
  apply(update: Uint8Array, origin: unknown): void {
    try {
      Y.applyUpdate(this.#ydoc, update, origin);
    } catch (cause) {
      this.#host.session.log('error', 'doc.broken', { doc: this.#name, why: String(cause) });
    }
  }

  /** Keeps an update, at once where it was made here. */
  add(update: Uint8Array, isOwn: boolean): void {
    this.#waiting.push(update);
    if (isOwn) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), GATHER_MS);
  }

  /** It is known which document it is. */
  identify(id: string): void {
    if (this.id === id) return;
    this.id = id;
    this.#waiting.push(NOTHING);
    this.#write();
  }

  /** Writes what waits. */
  close(): void {
    this.#write();
  }

  /** Forgets it, and keeps nothing any more. */
  forget(): void {
    clearTimeout(this.#timer);
    void this.#tell((box, room) => {
      this.#gone = true;
      box.delete(room, this.#name);
    });
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const updates = this.#waiting.splice(0);
    if (updates.length === 0) return;
    if (!this.#host.keeper.keepsWindows) this.#missed = true;
    else this.#add(updates.length > 1 ? Y.mergeUpdates(updates) : (updates[0] as Uint8Array));
  }

  #add(update: Uint8Array, upTo?: number): void {
    const { id } = this;
    void this.#tell((box, room) => box.add(room, this.#name, id, update, upTo));
    if (++this.#writes % MAX_WRITES === 0) void this.read();
  }

  async #tell<R>(what: (box: DocBox, room: string) => R | Promise<R>): Promise<R | undefined> {
    const { keeper, room } = this.#host;
    return keeper.tell(({ docs, user }) =>
      docs && user === this.user && !this.#gone ? what(docs, room.id) : undefined,
    );
  }
}
