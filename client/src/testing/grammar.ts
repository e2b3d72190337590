import type { TestRefusal } from './refusal.js';

const ROOM = /^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9][A-Za-z0-9_.:@-]*$/;
const TAG = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const TYPE = /^[a-z][a-z0-9_.-]{0,31}$/;
const POSITION = /^(?:([A-Za-z0-9_-]{1,32}):)?(0|[1-9]\d{0,15})(?::([0-9a-f]{8}))?$/;
/** The most bytes of an event's data (DATA-2). */
export const EVENT_BYTES = 64 * 1024;
const MAX_DEPTH = 128;

/** A position as it is read (POS-1): what is not named is not compared (POS-5). */
export interface Place {
  epoch: string | undefined;
  seq: number;
  mark: string | undefined;
}

/** Whether a room id is one (ROOM-1). */
export const isRoom = (room: string): boolean => room.length <= 200 && ROOM.test(room);

/** Reads a position; undefined where it is none (POS-1). */
export function parsePosition(text: string): Place | undefined {
  const [, epoch, digits, mark] = POSITION.exec(text) ?? [];
  const seq = Number(digits);
  if (digits === undefined || !Number.isSafeInteger(seq)) return undefined;
  if (mark !== undefined && (epoch === undefined || seq === 0 || mark === '00000000')) return undefined;
  return { epoch, seq, mark };
}

/** Why an event may not be stored, whatever the room (TAG-1, DATA-1 to DATA-4); undefined if it may. */
export function unfit(tag: unknown, type: unknown, data: unknown): TestRefusal | undefined {
  if (typeof tag !== 'string' || !TAG.test(tag) || /^[0-]*$/.test(tag))
    return { code: 'bad_tag', field: 'tag' };
  if (typeof type !== 'string' || !TYPE.test(type)) return { code: 'bad_type', field: 'type' };
  if (data === undefined || isBad(data, 0)) return { code: 'bad_data', field: 'data' };
  // An update of a document may be larger (DOC-2).
  if (type !== 'doc' && new TextEncoder().encode(JSON.stringify(data)).length > EVENT_BYTES) {
    return { code: 'message_too_large', field: 'data', limit: EVENT_BYTES };
  }
  return undefined;
}

/** DATA-3, as far as a parsed value shows it. */
function isBad(data: unknown, depth: number): boolean {
  if (typeof data === 'string') return data.includes('\0');
  if (typeof data !== 'object' || data === null) return false;
  if (depth >= MAX_DEPTH) return true;
  return Object.entries(data).some(([key, value]) => key.includes('\0') || isBad(value, depth + 1));
}

/** The positions that the id of a stream's event names (SSE-4): for one room it is the position itself. */
export function positions(rooms: readonly string[], id: string): Map<string, string> {
  if (id === '') return new Map();
  if (rooms.length === 1 && !id.includes('=')) return new Map([[rooms[0] as string, id]]);
  const pairs = id.split(',').map(pair => pair.split('=') as [string, string]);
  return new Map(pairs.filter(([room]) => rooms.includes(room)));
}
