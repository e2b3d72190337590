-- +goose Up

-- Which hooks have begun, for the rooms of which kinds.
create table hooks (
  hook text not null,
  kind text not null,
  primary key (hook, kind)
) strict, without rowid;

-- What a hook has been given of a room; without a row, nothing.
create table hook_cursors (
  hook  text    not null,
  room  integer not null,               -- rooms.id
  epoch text    not null,
  seq   integer not null,
  mark  integer not null,               -- 0: not known
  primary key (hook, room)
) strict, without rowid;
