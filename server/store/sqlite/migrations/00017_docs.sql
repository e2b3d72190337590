-- +goose Up

-- Documents as they were compacted. What they are made of are events of the type doc: appends write nothing here.
create table docs (
  room  integer not null,                -- rooms.id
  name  text    not null,
  id    text    not null,                -- what stored its first update: SEQ-MARK
  seq   integer not null,                -- of the newest update in state
  mark  integer not null,                -- of that
  state blob    not null,                -- an update, as Yjs encodes it
  primary key (room, name)
) strict;

-- As far as the documents of a room are compacted. Events of the type doc behind it are not pruned.
create table doc_rooms (
  room    integer primary key,           -- rooms.id
  through integer not null
) strict;

create index events_docs on events (room, seq) where type = 'doc';
