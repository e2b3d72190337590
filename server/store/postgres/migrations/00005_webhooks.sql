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
