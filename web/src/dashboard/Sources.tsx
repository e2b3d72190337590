/** The feeds that there are by themselves. */
const sources = [
  { room: 'feed:server', name: 'This server' },
  { room: 'feed:demo', name: 'Demo producer' },
] as const;

/** The feed that the address names, or the server's own. */
export function sourceOf(): string {
  return new URLSearchParams(location.search).get('room') || sources[0].room;
}

/** The choice between the feeds. The address says which, so that it can be shared and survives a reload. */
export function Sources({
  room,
  onPick,
}: {
  readonly room: string;
  readonly onPick: (room: string) => void;
}) {
  const pick = (next: string) => {
    history.replaceState(null, '', `?room=${encodeURIComponent(next)}`);
    onPick(next);
  };
  const all = sources.some(source => source.room === room) ? sources : [...sources, { room, name: room }];
  return (
    <fieldset className="themes">
      <legend className="unseen">Source</legend>
      {all.map(({ room: id, name }) => (
        <label key={id} className="themes-choice">
          <input type="radio" name="source" checked={id === room} onChange={() => pick(id)} />
          <span>{name}</span>
        </label>
      ))}
    </fieldset>
  );
}
