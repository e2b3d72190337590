-- +goose Up

-- A room exists from created_at on, until it is deleted. floor is that of the log layer: the oldest event
-- that is kept. events holds floor to head of a room at every moment.
alter table rooms add column created_at integer not null default 0; -- microseconds; 0: it does not exist
alter table rooms add column created_by text not null default '';   -- '': not known

update rooms set
  created_at = coalesce((select at from events where room = rooms.id and seq = 1), cast(unixepoch('subsec') * 1000000 as integer)),
  created_by = coalesce((select author from events where room = rooms.id and seq = 1), '')
where head > 0;

-- How many rooms of a kind that exist a user has created.
create table creators (
  author text    not null,
  kind   text    not null,
  rooms  integer not null,
  primary key (author, kind)
) strict, without rowid;
insert into creators (author, kind, rooms)
select created_by, substr(name, 1, instr(name, ':') - 1), count(*) from rooms where created_at > 0 group by 1, 2;

-- What an author sent where something else was stored: SHA-256 of its type and data. The tag leads, as in
-- events_tag.
create table rewrites (
  room   integer not null,               -- rooms.id
  author text    not null,
  tag    blob    not null,
  sent   blob    not null,
  primary key (tag, room, author)
) strict, without rowid;

-- What is remembered of an event that was pruned: enough to answer a repeat, without what it said.
create table tags (
  room   integer not null,               -- rooms.id
  seq    integer not null,
  mark   integer not null,
  at     integer not null,
  tag    blob    not null,
  author text    not null,
  sum    blob    not null,               -- of what its author sent, keyed by meta.secret
  primary key (room, seq)
) strict, without rowid;
create unique index tags_tag on tags (tag, room, author);
create index tags_at on tags (at);

-- Ids of rooms that were deleted, whose events and tags are still to be removed. No room has such an id,
-- nor will have: a room that is deleted takes a larger one than any has.
create table leftovers (
  room integer primary key
) strict;

alter table meta add column secret blob;
update meta set secret = randomblob(32);
