-- +goose Up

-- The map of a room: the latest of each key. A key that was deleted stays for a while, without a value.
create table state (
  room   integer not null,               -- rooms.id
  key    text    not null,
  seq    integer not null,               -- of the event that set or deleted it
  at     integer not null,               -- of that event; microseconds since 1970, UTC
  author text    not null,
  value  text,                           -- null: it was deleted
  primary key (room, key)
) strict, without rowid;
create index state_seq on state (room, seq);
create index state_dead on state (room, seq) where value is null;

-- Rooms that have had events that pages pass over: of the types state and doc.
create table state_rooms (
  room   integer primary key,            -- rooms.id
  newest integer not null,               -- seq of the newest event of either
  keys   integer not null,               -- that have a value
  bytes  integer not null,               -- of those keys and values
  pruned integer not null default 0,     -- of what was deleted up to here not all is remembered
  swept  integer not null default 0      -- events of the type state may be gone up to here
) strict;

-- The events of other types of such a room: all in [first, last], with those behind state_rooms.newest. Two runs
-- do not touch. So whoever passes over the others need not read them, and an append of another type writes nothing here.
create table log_runs (
  room  integer not null,                -- rooms.id
  last  integer not null,
  first integer not null,
  primary key (room, last)
) strict, without rowid;
