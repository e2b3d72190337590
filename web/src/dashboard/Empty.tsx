import type { FeedStatus } from 'roomlog/feed';

/** What stands in place of charts while there are no points. */
export function Empty({ room, status }: { readonly room: string; readonly status: FeedStatus }) {
  if (status.error) {
    return (
      <div className="empty">
        <p>
          {status.error.message} <a href={status.error.docs}>What this means</a>
        </p>
      </div>
    );
  }
  return (
    <div className="empty">
      {room === 'feed:server' ? (
        <p>This server’s figures appear here about a second after somebody looks.</p>
      ) : (
        <p>
          Nobody posts to <code>{room}</code> yet. A sample producer does, with:{' '}
          {['roomlog demo-feed', `--room ${room}`, `--url ${location.origin}`].map(part => (
            <code key={part}>{part} </code>
          ))}
        </p>
      )}
    </div>
  );
}
