-- +goose Up

-- One row: which numbering this database is. A tool that restores a backup draws a new epoch.
create table meta (
  one        integer primary key check (one = 1),
  epoch      text    not null,
  created_at integer not null -- microseconds since 1970, UTC
) strict;
insert into meta (one, epoch, created_at)
values (1, lower(hex(randomblob(6))), cast(unixepoch('subsec') * 1000000 as integer));

-- A row is never deleted: a deleted room leaves its next generation behind.
-- Marks are 1 to 2^32-1; 0 is none.
create table rooms (
  id         integer primary key,
  name       text    not null unique,
  generation integer not null default 0,
  head       integer not null default 0,
  head_mark  integer not null default 0,
  floor      integer not null default 1,
  floor_mark integer not null default 0  -- the mark of seq floor - 1
) strict;

-- Clustered by (room, seq), so that a page of a room lies together and an event is written once.
create table events (
  room   integer not null,               -- rooms.id
  seq    integer not null,
  mark   integer not null,
  at     integer not null,               -- microseconds since 1970, UTC
  type   text    not null,
  author text    not null,
  tag    blob    not null,
  data   text    not null,
  primary key (room, seq)
) strict, without rowid;

-- The tag leads: tags of one time (UUIDv7) are neighbours, so a batch over many rooms writes a few
-- pages of this index, not one per room.
create unique index events_tag on events (tag, room, author);
