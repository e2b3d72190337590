-- +goose Up

-- Who may read a room and not send to it, whatever their tokens grant.
create table roomlog.mutes (
  room   text collate "C" not null,      -- a name, as of bans
  who    text collate "C" not null,
  until  timestamptz,                    -- null: until it is lifted
  reason text not null,
  author text collate "C" not null,
  at     timestamptz not null,
  primary key (room, who)
);

-- admit refuses an author who is blocked, or banned from the room or muted there.
-- +goose StatementBegin
create or replace function roomlog.admit(p_room text, p_author text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from roomlog.bans b where b.room = '' and b.who = p_author and (b.until is null or b.until > clock_timestamp())) then
    perform roomlog.refuse('revoked', 'author', 'The author is blocked.');
  elsif exists (select from roomlog.bans b where b.room = p_room and b.who = p_author and (b.until is null or b.until > clock_timestamp())) then
    perform roomlog.refuse('unknown_room', 'room', 'There is no such room for this author.');
  elsif exists (select from roomlog.mutes b where b.room = p_room and b.who = p_author and (b.until is null or b.until > clock_timestamp())) then
    perform roomlog.refuse('forbidden', 'room', 'The author is muted in this room.');
  end if;
end
$$;
-- +goose StatementEnd
