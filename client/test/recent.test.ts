import { describe, expect, it } from 'vitest';
import type { Kept } from '../src/client/kept.js';
import { Recent } from '../src/client/recent.js';
import type { StoredWindow } from '../src/client/storage.js';
import type { WireEvent } from '../src/protocol/frames.js';
import { event } from './fake/socket.js';

describe('what is kept of a room', () => {
  it('has nothing of what was erased, nor of edits of which it is not known whose message they change (ERASE-3)', () => {
    const windows: StoredWindow[] = [];
    const kept = { keepsWindows: true, keepWindow: (window: StoredWindow) => void windows.push(window) };
    const recent = new Recent('chat:a', kept as unknown as Kept);
    const secret = { text: 'secret' };
    const events = [
      event(11, { data: secret }), // by u2
      event(12, { author: 'u3' }),
      event(13, { type: 'edit', author: 'u3', target: 11, data: { target: 11, data: secret } }),
      event(14, { type: 'edit', author: 'u3', target: 12, data: { target: 12, data: { text: 'theirs' } } }),
      event(15, { type: 'edit', author: 'u3', target: 2, data: { target: 2, data: secret } }),
      event(16, { type: 'note', data: secret }),
      event(17, { type: 'erase', author: 'admin', data: { user: 'u2' } }),
      event(18, { data: { text: 'again' } }),
    ] as WireEvent[];
    recent.took({ prev: 10, seq: 18, position: 'e:18', events }, 'e', 1);
    recent.write();
    const text = JSON.stringify(windows);
    expect(text).not.toContain('secret');
    for (const said of ['m12', 'theirs', 'again']) expect(text).toContain(said);
    const deleted = windows[0]?.events.filter(each => each.deleted).map(({ seq }) => seq);
    expect(deleted).toEqual([11, 13, 15, 16]);
  });
});
