/**
 * A room that is only looked at, such as a dashboard's: its newest events, whether they still come, and no way to write.
 *
 * @packageDocumentation
 */
export {
  type Feed,
  type FeedEvent,
  type FeedOptions,
  type FeedState,
  type FeedStatus,
  openFeed,
} from './feed.js';
