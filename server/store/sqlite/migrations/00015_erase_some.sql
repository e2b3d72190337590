-- +goose Up

-- Rooms of which a part of an erasure is done: of a large one the event comes with the last part. Events whose data went before that have
-- minus the number as gone, in events and tags, and as by_seq in redactions.
create table erased (
  room   integer not null,               -- rooms.id
  number integer not null,               -- from 1
  tag    blob    not null,               -- that the event has, or will have
  upto   integer not null default 0,     -- up to here the log was looked through
  events integer not null default 0,     -- whose data went before the event
  seq    integer,                        -- of the event; null: it is to come
  at     integer,                        -- of the event; microseconds since 1970, UTC
  primary key (room, number)
) strict, without rowid;
create unique index erased_tag on erased (room, tag);
