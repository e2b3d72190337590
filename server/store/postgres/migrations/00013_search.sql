-- +goose Up

-- The words of messages, beside the log and no part of an append: the server carries them on, room by room. What a word is, the
-- server says. Each row has the word ':ID' of its room, which no message can have, so that the index finds
-- words within a room.
create table roomlog.search (
  room  bigint      not null, -- rooms.id
  seq   bigint      not null,
  at    timestamptz not null, -- of the message
  words tsvector    not null,
  primary key (room, seq)
);
create index search_words on roomlog.search using gin (words);

-- What of a room is indexed: up to which seq, and from which floor on. Without a row, nothing.
create table roomlog.search_cursors (
  room  bigint primary key,   -- rooms.id
  seq   bigint not null,
  floor bigint not null
) with (fillfactor = 70);

-- Which node does what only one should do at a time, and until when it may be taken for alive.
create table roomlog.duties (
  duty   text collate "C" primary key,
  holder text collate "C" not null,
  until  timestamptz      not null
) with (fillfactor = 50);
