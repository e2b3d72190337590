'use client';

/**
 * Documents of `roomlog/yjs` for React: an entry of its own, so that who has no documents needs no Yjs.
 *
 * @packageDocumentation
 */
import { useMemo } from 'react';
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import type { Client } from '../client/types.js';
import { type DocState, openDoc, type RoomDoc } from '../yjs/index.js';
import { useClient, useRoomId } from './context.js';
import { type HookSource, useSource } from './source.js';

/** What `useDoc` gives. */
export interface UseDoc {
  /** The document; undefined until the component is mounted, and on a server. */
  readonly doc: RoomDoc | undefined;
  /** As `doc.ydoc`. */
  readonly ydoc: Y.Doc | undefined;
  /** As `doc.awareness`. */
  readonly awareness: Awareness | undefined;
  /** Whether what is written is stored. */
  readonly status: DocState;
}

/** What `useSuspenseDoc` gives. */
export type UseSuspenseDoc = { readonly [K in keyof UseDoc]: NonNullable<UseDoc[K]> };

const NOTHING: UseDoc = { doc: undefined, ydoc: undefined, awareness: undefined, status: 'loading' };

/** How long a document that a suspended component asked for stays open until one that shows it is mounted, in milliseconds. */
const UNMOUNTED_MS = 30_000;

/** A document that is open while components show it: the same for all of them. */
class Shared implements HookSource<UseDoc> {
  readonly onServer = NOTHING;
  /** Of suspended components: resolves when it is no longer `loading`. */
  loaded: Promise<void> | undefined;
  readonly #open: () => RoomDoc;
  readonly #listeners = new Set<() => void>();
  #doc: RoomDoc | undefined;
  #shown = NOTHING;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(open: () => RoomDoc) {
    this.#open = open;
  }

  get(): UseDoc {
    return this.#shown;
  }

  subscribe(onChange: () => void): () => void {
    const listener = () => onChange();
    this.#listeners.add(listener);
    this.hold();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#closeIn(0);
    };
  }

  /** Opens it, for a while where nobody subscribes. */
  hold(): void {
    clearTimeout(this.#timer);
    if (this.#listeners.size === 0) this.#closeIn(UNMOUNTED_MS);
    if (this.#doc) return;
    this.#doc = this.#open();
    this.#doc.status.subscribe(() => this.#look());
    this.#look();
  }

  #closeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#listeners.size > 0) return;
      if (ms > 0 && this.#shown.status === 'loading') {
        this.#closeIn(ms); // somebody may be suspended until it is there
        return;
      }
      this.#doc?.destroy();
      this.#doc = this.loaded = undefined;
      this.#shown = NOTHING;
    }, ms);
  }

  #look(): void {
    const doc = this.#doc;
    if (!doc) return;
    const { ydoc, awareness } = doc;
    this.#shown = { doc, ydoc, awareness, status: doc.status.get() };
    for (const listener of [...this.#listeners]) listener();
  }
}

const shared = new WeakMap<Client, Map<string, Shared>>();

function sharedOf(client: Client, room: string, name: string): Shared {
  const docs = shared.get(client) ?? new Map<string, Shared>();
  shared.set(client, docs);
  const key = `${room} ${name}`;
  const doc = docs.get(key) ?? new Shared(() => openDoc(client.room(room), name));
  docs.set(key, doc);
  return doc;
}

function useShared(name: string): Shared {
  const client = useClient();
  const room = useRoomId();
  if (room === undefined)
    throw new Error('roomlog/react/yjs: there is no <RoomProvider> around this component.');
  return useMemo(() => sharedOf(client, room, name), [client, room, name]);
}

/**
 * A document of the nearest RoomProvider's room, open while components that use it are mounted: one for all of them. Renders again when its status
 * changes, not when the text does. Throws an Error where there is no RoomProvider.
 */
export function useDoc(name = 'main'): UseDoc {
  return useSource(useShared(name));
}

/**
 * As `useDoc`, once the document is there: suspends while it is `loading`. It may be `offline` without content where nothing of it is kept. On a
 * server it suspends for ever: put it into a RoomProvider of `roomlog/react/suspense`, which renders its `fallback` there.
 */
export function useSuspenseDoc(name = 'main'): UseSuspenseDoc {
  const doc = useShared(name);
  if (doc.get().status === 'loading') doc.hold();
  const { status, doc: open } = doc.get();
  if (status === 'loading') {
    doc.loaded ??= new Promise(resolve => {
      const stop = open?.status.subscribe(() => {
        if (open.status.get() === 'loading') return;
        stop?.();
        doc.loaded = undefined;
        resolve();
      });
    });
    throw doc.loaded;
  }
  return useSource(doc) as UseSuspenseDoc;
}
