import type { RequestNeeds } from './request.js';
import type { SidesHost } from './sides.js';
import type { StatePartHost } from './state/part.js';

/** What the parts of a room need of it, those in other entries of the package too. */
export interface RoomHost extends StatePartHost, SidesHost {
  readonly requests: RequestNeeds;
}
