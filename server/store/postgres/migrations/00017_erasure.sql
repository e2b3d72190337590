-- +goose Up

-- Whose data is to be removed, and how far that has come: rooms are gone through in the order of their names.
create table roomlog.erasures (
  who      text collate "C" primary key,
  author   text collate "C" not null,    -- who asked for it
  job      uuid        not null,         -- drawn for each
  asked_at timestamptz not null,
  upto     text collate "C" not null default '', -- the last room that is done
  rooms    bigint      not null default 0, -- that had something
  events   bigint      not null default 0, -- whose data went
  done_at  timestamptz                   -- null: it is under way
);
create index erasures_under_way on roomlog.erasures (asked_at) where done_at is null;

-- erase stores one event of the type erase in a room, if there is anything of the user in it, and with it takes away what events
-- of the user say, but for those that say who belongs to the room or what is deleted; edits of their messages by others; their
-- reactions, mentions, marks and membership. What is left of each event is what a delete leaves. stored is null where nothing
-- was to be done; where it was done by this tag before, stored is what that was, and events is 0.
--
-- The log is looked through before the room is locked; under the lock only what was added meanwhile.
-- +goose StatementBegin
create function roomlog.erase(p_room text, p_user text, p_by text, p_tag uuid, p_data text, out stored bigint, out events bigint)
language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  keeps   constant text[] := array['delete', 'member', 'erase'];
  r       record;
  a       record;
  dead    bigint[];
  touched bigint[]; -- messages of others whose last edit goes
  traces  boolean := false;
begin
  events := 0;
  select x.id, x.head into r from roomlog.rooms x where x.name = p_room and x.head > 0;
  if not found then
    return;
  end if;
  dead := array(select e.seq from roomlog.events e where e.room = r.id and e.seq <= r.head and e.author = p_user and e.gone is null and e.type <> all (keeps));
  if to_regclass('roomlog.receipts') is not null then
    execute 'select exists (select from roomlog.receipts where room = $1 and who = $2)' into traces using r.id, p_user;
  end if;
  if dead = '{}' and not traces
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
  if to_regclass('roomlog.receipts') is not null then
    execute 'delete from roomlog.receipts where room = $1 and who = $2' using r.id, p_user;
  end if;
  insert into roomlog.pokes (topic) values ('room:' || p_room);
end
$$;
-- +goose StatementEnd

-- changes_of as in migration 11, and besides: nobody appends such an event from SQL, since what it says would not be true.
-- +goose StatementBegin
create or replace function roomlog.changes_of(p_type text, p_json text) returns jsonb language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  target text;
  value  text;
  remove text;
  role   text;
begin
  if p_type in ('edit', 'delete', 'reaction') then
    target := roomlog.field(p_json, 'target');
    if target ~ '^[1-9][0-9]{0,15}$' and target::bigint <= 9007199254740991 then
      target := '"target":' || target;
    elsif target collate "C" ~ '^"[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"$' and target <> '"00000000-0000-0000-0000-000000000000"' then
      target := '"tag":' || target;
    else
      perform roomlog.refuse('bad_data', 'data', 'The target is the seq of a message, or the tag that its author sent it with, as text.');
    end if;
    if p_type = 'edit' then
      value := roomlog.field(p_json, 'data');
      if value is null then
        perform roomlog.refuse('bad_data', 'data', 'An edit needs the new data of the message.');
      end if;
      perform roomlog.mentions_of(value);
    elsif p_type = 'delete' then
      if left(coalesce(roomlog.field(p_json, 'reason'), '"'), 1) <> '"' then
        perform roomlog.refuse('bad_data', 'data', 'The reason of a delete is a text.');
      end if;
    else
      value := roomlog.text_of(roomlog.field(p_json, 'emoji'), 64);
      remove := coalesce(roomlog.field(p_json, 'remove'), 'false');
      if value is null or remove not in ('true', 'false') then
        perform roomlog.refuse('bad_data', 'data', 'An emoji is a text of 1 to 64 bytes without control characters; remove: true takes it back.');
      end if;
    end if;
    return jsonb_build_object('changes', jsonb_build_array(
      jsonb_build_object('n', 1, 'own', true, 'others', true, 'value', value, 'remove', coalesce(remove, 'false') = 'true') || ('{' || target || '}')::jsonb));

  elsif p_type = 'member' then
    value := roomlog.text_of(roomlog.field(p_json, 'user'), 128);
    role := roomlog.field(p_json, 'role');
    if value is null or value in ('.', '..') or position(chr(65533) in value) > 0 then
      perform roomlog.refuse('bad_data', 'data', 'A member is the name of a user.');
    elsif role is null or role <> 'null' and role collate "C" !~ '^"[a-z][a-z0-9_-]{0,31}"$' then
      perform roomlog.refuse('bad_data', 'data', 'A role is a-z, 0-9, _ and -, begins with a letter and has at most 32 characters; null ends the membership.');
    end if;
    return jsonb_build_object('members', jsonb_build_array(jsonb_build_object(
      'n', 1, 'who', value, 'role', case when role = 'null' then '' else trim('"' from role) end)));

  elsif p_type = 'message' then
    return jsonb_build_object('mentions', jsonb_agg(jsonb_build_object('n', 1, 'who', x.who))) from unnest(roomlog.mentions_of(p_json)) as x (who)
      having count(*) > 0;

  elsif p_type = 'erase' then
    perform roomlog.refuse('forbidden', 'type', 'An event of this type is the server''s to store, when a user''s data is erased.');
  end if;
  return null;
end
$$;
-- +goose StatementEnd
