const paths = {
  queued: 'M8 4.5V8l2.2 1.6M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z',
  sending: 'M3 8h9M8.5 4.5 12 8l-3.5 3.5',
  sent: 'm3.5 8.5 3 3 6-7',
  delivered: 'm1 8.5 3 3 6-7M7.5 11l.5.5 6-7',
  read: 'm1 8.5 3 3 6-7M7.5 11l.5.5 6-7',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  reply: 'M6.5 3.5l-4 4 4 4M3 7.5h6a4 4 0 0 1 4 4v1',
  edit: 'm3 13 .7-3 6.8-6.8 2.3 2.3L6 12.3 3 13Z',
  remove: 'M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.5 10.5l3 3',
  people:
    'M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1.5 13.5c0-2.5 2-4 4.5-4s4.5 1.5 4.5 4M10.5 2.7a2.5 2.5 0 0 1 0 4.6M12 9.8c1.6.5 2.5 1.8 2.5 3.7',
  failed: 'M8 4.5v4.200M8 11.5v.01M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z',
  down: 'M8 3v9.5M4 8.5l4 4 4-4',
  up: 'M8 13V3.5M4 7.5l4-4 4 4',
  rooms: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h7',
  ask: 'M8 2.2 9.5 6.500l4.300 1.500-4.300 1.500L8 13.800 6.500 9.500 2.200 8l4.300-1.500L8 2.200Z',
  stop: 'M5 5h6v6H5V5Z',
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
