-- +goose Up

-- Which hooks have begun, for the rooms of which kinds.
create table roomlog.hooks (
  hook text collate "C" not null,
  kind text collate "C" not null,
  primary key (hook, kind)
);

-- What a hook has been given of a room; without a row, nothing.
create table roomlog.hook_cursors (
  hook  text collate "C" not null,
  room  bigint not null,                -- rooms.id
  epoch text collate "C" not null,
  seq   bigint not null,
  mark  bigint not null,                -- 0: not known
  primary key (hook, room)
) with (fillfactor = 50);

-- What an author sent where something else was stored: SHA-256 of its type and data. The tag leads, as in
-- events_tag. Rooms have their names here: the statement that stores an event in a new room does not see
-- that room's row yet.
create table roomlog.rewrites (
  room   text collate "C" not null,
  author text collate "C" not null,
  tag    uuid  not null,
  sent   bytea not null,
  primary key (tag, room, author)
);
