-- +goose Up

-- What changed in which transaction, for nodes that no bus tells. A row is told to who holds a snapshot in which its transaction
-- was not visible, and is removed when it has been visible for a minute. Neither table is logged: a crash empties both,
-- as does a promotion, and the line that is drawn then is another one.
create unlogged table roomlog.pokes (
  topic text collate "C" not null,                      -- 'room:' and its name, or 'cluster'
  xid   xid8 not null default pg_current_xact_id()
);
create index pokes_xid on roomlog.pokes (xid);

-- One row, or none after a crash. Transactions that ended in a crash may give their numbers to others; snapshots are
-- comparable only along one line.
create unlogged table roomlog.poke_line (
  one   boolean primary key default true check (one),
  drawn uuid not null default gen_random_uuid(),
  gone  pg_snapshot not null default pg_current_snapshot(), -- what it shows may have been removed
  next  pg_snapshot not null default pg_current_snapshot(), -- what it shows may go when it is old enough
  at    timestamptz not null default clock_timestamp()      -- when next was taken, or later
);
