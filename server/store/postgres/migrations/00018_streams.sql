-- +goose Up

-- Messages that stream, while they are open: what of their text is kept, and until when whoever makes them has to say something.
create table roomlog.streams (
  room    text collate "C" not null,     -- a name: the room of the first message is made with it
  author  text collate "C" not null,
  tag     uuid    not null,              -- of the message
  room_id bigint,                        -- rooms.id; null: it is not known whether the message is stored
  seq     bigint,                        -- of the message; null with room_id
  base    integer not null,              -- bytes of the message's data
  text    text collate "C" not null default '',
  bytes   integer not null default 0,    -- of text
  over    boolean not null default false, -- it takes no more
  until   timestamptz not null,
  primary key (room, author, tag)
) with (fillfactor = 50);
create unique index streams_seq on roomlog.streams (room_id, seq);
create index streams_until on roomlog.streams (until);

-- A message that is deleted, or erased, streams no more, and nothing of its text is left here.
-- +goose StatementBegin
create function roomlog.end_streams() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from roomlog.streams) then
    delete from roomlog.streams s using gone g where s.room_id = g.room and s.seq = g.seq;
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create trigger end_streams after insert on roomlog.redactions referencing new table as gone
  for each statement execute function roomlog.end_streams();
