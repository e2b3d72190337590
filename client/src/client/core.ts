import { isPage } from '../protocol/check.js';
import { localError, RoomlogError } from './error.js';
import { Value } from './readable.js';

/**
 * What code that is loaded later needs of the core: it is handed over. A module that both imported would be a chunk beside the
 * core, and the core grow by what joins the two.
 */
export const core = { isPage, localError, RoomlogError, Value };

/** The type of it: a type is imported for nothing. */
export type Core = typeof core;
