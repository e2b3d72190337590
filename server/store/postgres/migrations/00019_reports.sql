-- +goose Up

-- What users hold against events, until a moderator resolves it.
create table roomlog.reports (
  number bigint generated always as identity primary key, -- never given again
  room   bigint not null,                        -- rooms.id
  seq    bigint not null,
  who    text collate "C" not null,              -- who reported it
  reason text not null,
  at     timestamptz not null default clock_timestamp(),
  told   boolean not null default false          -- the webhook has it
);
create unique index reports_once on roomlog.reports (room, seq, who);
create index reports_of on roomlog.reports (room, number);
create index reports_by on roomlog.reports (who);
create index reports_untold on roomlog.reports (room, number) where not told;

-- The version at which receipts of the room were last taken away: who knew an earlier one reads them all again.
alter table roomlog.receipt_versions add column removed bigint not null default 0;

-- erase stores one event of the type erase in a room, if there is anything of the user in it, and with it takes away what events
-- of the user say, but for those that say who belongs to the room or what is deleted; edits of their messages by others; their
-- reactions, mentions, marks, membership and reports; the version of the room's receipts rises with marks that go. What is left of each event is what a delete leaves. stored is null where nothing
-- was to be done; where it was done by this tag before, stored is what that was, and events is 0.
--
-- The log is looked through before the room is locked; under the lock only what was added meanwhile.
-- +goose StatementBegin
create or replace function roomlog.erase(p_room text, p_user text, p_by text, p_tag uuid, p_data text, out stored bigint, out events bigint)
language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  keeps   constant text[] := array['delete', 'member', 'erase'];
  r       record;
  a       record;
  dead    bigint[];
  touched bigint[]; -- messages of others whose last edit goes
begin
  events := 0;
  select x.id, x.head into r from roomlog.rooms x where x.name = p_room and x.head > 0;
  if not found then
    return;
  end if;
  dead := array(select e.seq from roomlog.events e where e.room = r.id and e.seq <= r.head and e.author = p_user and e.gone is null and e.type <> all (keeps));
  if dead = '{}'
    and not exists (select from roomlog.receipts c where c.room = r.id and c.who = p_user)
    and not exists (select from roomlog.reports x where x.room = r.id and x.who = p_user)
    and not exists (select from roomlog.members m where m.room = r.id and m.who = p_user)
    and not exists (select from roomlog.mentions m where m.room = r.id and m.who = p_user)
    and not exists (select from roomlog.reactions x where x.room = r.id and x.who = p_user)
    and not exists (select from roomlog.events e where e.room = r.id and e.tag = p_tag and e.author = p_by)
  then
    return;
  end if;

  select x.* into a from roomlog.append(array[p_room], array[1], array[1], array[1], array[p_by], array[p_tag],
    array['erase'], array[p_data], null, null, null, false, 2000, null) x;
  if a.heads is null or a.others is not null then -- the room is gone; or it was done before
    stored := a.seqs[1];
    return;
  end if;
  stored := a.heads[1] + 1;
  if (select x.id from roomlog.rooms x where x.name = p_room) <> r.id then
    dead := '{}'; -- of the room that was there before
    select x.id, 0 as head into r from roomlog.rooms x where x.name = p_room;
  end if;

  dead := dead || array(select e.seq from roomlog.events e
    where e.room = r.id and e.seq > r.head and e.seq < stored and e.author = p_user and e.type <> all (keeps));
  dead := array(select e.seq from roomlog.events e where e.room = r.id and e.seq = any (dead) and e.gone is null); -- again, under the lock
  dead := dead || array(select e.seq from unnest(dead) as d (seq) cross join lateral (
    select x.seq from roomlog.events x
    where x.room = r.id and x.target = d.seq and x.type = 'edit' and x.target is not null and x.gone is null and x.author <> p_user) e);
  events := cardinality(dead);
  touched := array(select x.seq from roomlog.edits x where x.room = r.id and x.edit_seq = any (dead) and x.seq <> all (dead));

  insert into roomlog.redactions (room, seq, ordinal, author, by_seq, who, at, sum)
  select e.room, e.seq, case when e.type = 'message' then e.ordinal else 0 end, e.author, stored, p_by, a.at,
    roomlog.sum((select m.secret from roomlog.meta m), coalesce((
      select w.sent from roomlog.rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author),
      roomlog.fingerprint(e.type, e.data)))
  from roomlog.events e where e.room = r.id and e.seq = any (dead);
  delete from roomlog.rewrites x where x.ctid = any (array(
    select w.ctid from roomlog.events e cross join lateral (
      select y.ctid from roomlog.rewrites y where y.tag = e.tag and y.room = e.room and y.author = e.author limit 1) w
    where e.room = r.id and e.seq = any (dead)));
  update roomlog.events e set data = 'null', gone = stored where e.room = r.id and e.seq = any (dead);

  delete from roomlog.edits x where x.room = r.id and (x.seq = any (dead) or x.seq = any (touched));
  insert into roomlog.edits (room, seq, edit_seq, at, who, data)
  select distinct on (e.target) e.room, e.target, e.seq, e.at, e.author, roomlog.field(e.data, 'data')
  from roomlog.events e where e.room = r.id and e.target = any (touched) and e.type = 'edit' and e.gone is null order by e.target, e.seq desc;
  delete from roomlog.reactions x where x.room = r.id and (x.who = p_user or x.seq = any (dead));
  delete from roomlog.mentions x where x.room = r.id and (x.who = p_user or x.seq = any (dead));
  delete from roomlog.members x where x.room = r.id and x.who = p_user;
  delete from roomlog.reports x where x.room = r.id and x.who = p_user;
  perform from roomlog.receipt_versions v where v.room = r.id for update; -- who is marking comes before
  delete from roomlog.receipts c where c.room = r.id and c.who = p_user;
  if found then
    insert into roomlog.receipt_versions as v (room, version, removed) values (r.id, 1, 1)
    on conflict (room) do update set version = v.version + 1, removed = v.version + 1;
  end if;
  insert into roomlog.pokes (topic) values ('room:' || p_room);
end
$$;
-- +goose StatementEnd
