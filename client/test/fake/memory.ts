import type { ClientStorage, StoredSend, StoredWindow } from '../../src/index.js';

/** Makes storages that keep everything in memory, each over the same, as those of pages are. */
export function memoryStorage(): () => ClientStorage {
  const kept = new Map<string, { marks: Map<string, number>; windows: Map<string, StoredWindow> }>();
  const of = (owner: object) => {
    const key = JSON.stringify(owner);
    const box = kept.get(key) ?? { marks: new Map(), windows: new Map() };
    kept.set(key, box);
    return box;
  };
  const close = async () => {};
  return () => ({
    sends: () => ({ put: (_: StoredSend) => {}, delete: () => {}, adopt: async () => {}, close }),
    windows: owner => {
      const { windows } = of(owner);
      return {
        read: async room => structuredClone(windows.get(room)),
        put: window => void windows.set(window.room, structuredClone(window)),
        delete: room => void windows.delete(room),
        close,
      };
    },
    marks: owner => {
      const { marks } = of(owner);
      return {
        all: async () => new Map(marks),
        put: (room, read) => void marks.set(room, Math.max(read, marks.get(room) ?? 0)),
        delete: (room, read) => void ((marks.get(room) ?? 0) <= read && marks.delete(room)),
        close,
      };
    },
  });
}
