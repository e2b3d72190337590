/**
 * Documents that several people write at once: a Yjs document over the connection of its room, and whose carets are where.
 *
 * @packageDocumentation
 */
export { type DocOptions, type DocState, openDoc, type ReplacedDoc, type RoomDoc } from './doc.js';
