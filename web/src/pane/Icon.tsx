const paths = {
  queued: 'M8 4.5V8l2.2 1.6M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z',
  sending: 'M3 8h9M8.5 4.5 12 8l-3.5 3.5',
  sent: 'm3.5 8.5 3 3 6-7',
  failed: 'M8 4.5v4.200M8 11.5v.01M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z',
  down: 'M8 3v9.5M4 8.5l4 4 4-4',
  up: 'M8 13V3.5M4 7.5l4-4 4 4',
  rooms: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h7',
  close: 'm4 4 8 8M12 4l-8 8',
  send: 'M8 13V3.5M4 7.5l4-4 4 4',
} as const;

/** A line drawing beside a word; it carries no meaning of its own. */
export function Icon({ name }: { readonly name: keyof typeof paths }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
