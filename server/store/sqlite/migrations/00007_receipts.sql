-- +goose Up

-- How far users have got in rooms. Marks only rise.
create table receipts (
  room         integer not null,               -- rooms.id
  who          text    not null,
  delivered    integer not null,
  read         integer not null,
  read_ordinal integer not null,               -- events.ordinal of read
  version      integer not null,               -- of the room's receipts when this one changed
  at           integer not null,               -- microseconds since 1970, UTC
  primary key (room, who)
) strict, without rowid;
create unique index receipts_version on receipts (room, version);

-- How often the receipts of a room have changed.
create table receipt_versions (
  room    integer primary key,                 -- rooms.id
  version integer not null
) strict;

-- A user's own messages behind a mark, which are not unread.
create index events_own on events (room, author, seq) where type = 'message' and ordinal > 0;
