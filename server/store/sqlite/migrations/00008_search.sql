-- +goose Up

-- The words of messages, beside the log and no part of an append: the server carries them on, room by room. What a word is, the
-- server says: here are words with spaces between, and the tokenizer only finds those. The ids of messages rise
-- with the seqs of their room, so that the newest are found first.
create table search_docs (
  id   integer primary key,
  room integer not null,               -- rooms.id
  seq  integer not null,
  at   integer not null,               -- of the message
  unique (room, seq)
) strict;

-- Its rowids are those of search_docs. secure-delete: what is deleted is gone, and no longer part of any segment.
create virtual table search using fts5 (room, words, tokenize = 'ascii', columnsize = 0);
insert into search (search, rank) values ('secure-delete', 1);

-- What of a room is indexed: up to which seq, and from which floor on. Without a row, nothing.
create table search_cursors (
  room  integer primary key,           -- rooms.id
  seq   integer not null,
  floor integer not null
) strict;
