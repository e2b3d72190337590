-- +goose Up

-- Messages that stream, while they are open: what of their text is kept, and until when whoever makes them has to say something.
create table streams (
  room    text    not null,              -- a name: the room of the first message is made with it
  author  text    not null,
  tag     blob    not null,              -- of the message
  room_id integer,                       -- rooms.id; null: it is not known whether the message is stored
  seq     integer,                       -- of the message; null with room_id
  base    integer not null,              -- bytes of the message's data
  text    text    not null default '',
  bytes   integer not null default 0,    -- of text
  over    integer not null default 0,    -- 1: it takes no more
  until   integer not null,              -- microseconds since 1970, UTC
  primary key (room, author, tag)
) strict;
create unique index streams_seq on streams (room_id, seq);
create index streams_until on streams (until);

-- A message that is deleted, or erased, streams no more, and nothing of its text is left here.
-- +goose StatementBegin
create trigger end_streams after insert on redactions
begin
  delete from streams where room_id = new.room and seq = new.seq;
end;
-- +goose StatementEnd
