-- +goose Up

-- Rooms of which a part of an erasure is done: of a large one the event comes with the last part. Events whose data went before that have
-- minus the number as gone, in events and tags, and as by_seq in redactions.
create table roomlog.erased (
  room   bigint not null,                -- rooms.id
  number bigint not null,                -- from 1
  tag    uuid   not null,                -- that the event has, or will have
  upto   bigint not null default 0,      -- up to here the log was looked through
  events bigint not null default 0,      -- whose data went before the event
  seq    bigint,                         -- of the event; null: it is to come
  at     timestamptz,                    -- of the event
  primary key (room, number)
);
create unique index erased_tag on roomlog.erased (room, tag);

-- erase_some removes some of what a user said in a room: all but events that say who belongs to the room or what is deleted, and with
-- it edits of their messages by others; and besides their reactions, mentions, marks, membership and reports. What is left of each event is what
-- a delete leaves. Of the log p_look events are looked at, from where the last call with the tag stopped, and p_most of them lose their data; more says that there is
-- more. With the last of it an event of the type erase is stored, if there was anything, and the version of the room's receipts rises with
-- marks that go; stored is its seq, also where it was stored before.
--
-- The log is looked through before the room is locked; under the lock only what was added meanwhile.
-- +goose StatementBegin
create function roomlog.erase_some(
  p_room text, p_user text, p_by text, p_job uuid, p_tag uuid, p_data text, p_most integer, p_look bigint,
  out stored bigint, out events bigint, out more boolean
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  keeps  constant text[] := array['delete', 'member', 'erase'];
  r      record;          -- the room
  part   roomlog.erased%rowtype;
  reach  bigint;          -- up to here it is looked through now
  dead   bigint[];        -- seqs that lose their data
  rows   tid[];           -- of dead: each is a probe of the key, where a list of seqs could become a scan of the room
  edited bigint[];        -- messages of others whose last edit goes
  a      record;
  by_seq bigint;
  moment timestamptz := clock_timestamp();
begin
  events := 0;
  more := false;
  select x.id, x.head, x.floor into r from roomlog.rooms x where x.name = p_room and x.head > 0;
  if not found then
    return;
  end if;
  select e.seq into stored from roomlog.events e where e.tag = p_tag and e.room = r.id and e.author = p_by;
  if stored is null then
    select t.seq into stored from roomlog.tags t where t.tag = p_tag and t.room = r.id and t.author = p_by;
  end if;
  if stored is not null then
    return;
  end if;

  select x.* into part from roomlog.erased x where x.room = r.id and x.tag = p_tag;
  part.upto := greatest(coalesce(part.upto, 0), r.floor - 1);
  reach := least(part.upto + p_look, r.head);
  dead := array(select e.seq from roomlog.events e
    where e.room = r.id and e.seq > part.upto and e.seq <= reach and e.gone is null
      and (e.author = p_user and e.type <> all (keeps) or e.type = 'edit' and e.target is not null
        and (select x.author from roomlog.events x where x.room = e.room and x.seq = e.target) = p_user)
    order by e.seq limit p_most + 1);
  if cardinality(dead) > p_most then
    dead := dead[:p_most];
    reach := dead[p_most];
  end if;
  more := reach < r.head
    or p_most < (select count(*) from (select from roomlog.mentions m where m.room = r.id and m.who = p_user limit p_most + 1) x)
    or p_most < (select count(*) from (select from roomlog.reports x where x.room = r.id and x.who = p_user limit p_most + 1) x);
  if not more and dead = '{}' and coalesce(part.events, 0) = 0
    and not exists (select from roomlog.receipts c where c.room = r.id and c.who = p_user)
    and not exists (select from roomlog.reports x where x.room = r.id and x.who = p_user)
    and not exists (select from roomlog.members m where m.room = r.id and m.who = p_user)
    and not exists (select from roomlog.mentions m where m.room = r.id and m.who = p_user)
  then
    delete from roomlog.erased x where x.room = r.id and x.number = part.number and x.events = 0;
    return;
  end if;

  perform from roomlog.search_cursors c where c.room = r.id for update; -- who puts words comes before, or finds them taken out
  perform from roomlog.rooms x where x.name = p_room and x.id = r.id for update;
  if not found then -- it was deleted, and may have begun anew
    more := true;
    return;
  end if;
  if more then
    insert into roomlog.erased as x (room, number, tag)
    select r.id, coalesce(max(y.number), 0) + 1, p_tag from roomlog.erased y where y.room = r.id
    on conflict (room, tag) do update set upto = x.upto returning x.number into part.number;
    by_seq := -part.number;
  else
    select x.* into a from roomlog.append(array[p_room], array[1], array[1], array[1], array[p_by], array[p_tag],
      array['erase'], array[p_data], null, null, null, false, 2000, null) x;
    if a.others is not null then -- another node was faster
      stored := a.seqs[1];
      return;
    end if;
    stored := a.heads[1] + 1;
    by_seq := stored;
    moment := a.at;
    dead := dead || array(select e.seq from roomlog.events e where e.room = r.id and e.seq > reach and e.seq < stored and e.gone is null
      and (e.author = p_user and e.type <> all (keeps) or e.type = 'edit' and e.target is not null
        and (select x.author from roomlog.events x where x.room = e.room and x.seq = e.target) = p_user));
  end if;

  select array_agg(e.ctid), array_agg(e.seq) into rows, dead from unnest(dead) as s (seq) -- again, under the lock
  cross join lateral (select x.ctid, x.seq from roomlog.events x where x.room = r.id and x.seq = s.seq and x.gone is null limit 1) e;
  events := coalesce(cardinality(dead), 0);
  insert into roomlog.redactions (room, seq, ordinal, author, by_seq, who, at, sum)
  select e.room, e.seq, case when e.type = 'message' then e.ordinal else 0 end, e.author, by_seq, p_by, moment,
    roomlog.sum((select m.secret from roomlog.meta m), coalesce((
      select w.sent from roomlog.rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author),
      roomlog.fingerprint(e.type, e.data)))
  from roomlog.events e where e.ctid = any (rows);
  delete from roomlog.rewrites x where x.ctid = any (array(
    select w.ctid from roomlog.events e cross join lateral (
      select y.ctid from roomlog.rewrites y where y.tag = e.tag and y.room = e.room and y.author = e.author limit 1) w
    where e.ctid = any (rows)));
  delete from roomlog.reactions x using (
    select distinct e.target from roomlog.events e where e.ctid = any (rows) and e.type = 'reaction' and e.target is not null) t
  where x.room = r.id and x.seq = t.target and x.who = p_user;
  edited := array(
    select x.seq from roomlog.events e join roomlog.edits x on x.room = r.id and x.seq = e.target and x.edit_seq = e.seq
    where e.ctid = any (rows) and e.type = 'edit');
  update roomlog.events e set data = 'null', gone = by_seq where e.ctid = any (rows);

  delete from roomlog.edits x where x.room = r.id and (x.seq = any (dead) or x.seq = any (edited));
  insert into roomlog.edits (room, seq, edit_seq, at, who, data)
  select r.id, m.seq, e.seq, e.at, e.author, roomlog.field(e.data, 'data')
  from unnest(edited) as m (seq) cross join lateral (
    select x.* from roomlog.events x where x.room = r.id and x.target = m.seq and x.type = 'edit' and x.gone is null order by x.seq desc limit 1) e
  where m.seq <> all (dead);
  delete from roomlog.reactions x where x.room = r.id and x.seq = any (dead);
  delete from roomlog.search x where x.room = r.id and x.seq = any (dead);
  delete from roomlog.mentions x where x.room = r.id and x.seq = any (dead);
  delete from roomlog.mentions x where x.ctid = any (array(
    select m.ctid from roomlog.mentions m where m.room = r.id and m.who = p_user order by m.seq limit case when more then p_most end));
  delete from roomlog.reports x where x.ctid = any (array(
    select y.ctid from roomlog.reports y where y.room = r.id and y.who = p_user order by y.number limit case when more then p_most end));
  if events > 0 then
    update roomlog.erasures x set events = x.events + erase_some.events where x.who = p_user and x.job = p_job and x.done_at is null;
  end if;
  if more then
    update roomlog.erased x set upto = greatest(x.upto, reach), events = x.events + erase_some.events where x.room = r.id and x.number = part.number;
    return;
  end if;

  update roomlog.erased x set seq = stored, at = moment where x.room = r.id and x.tag = p_tag;
  delete from roomlog.members x where x.room = r.id and x.who = p_user;
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

-- What a node from before this migration erases with: all of a room at once.
-- +goose StatementBegin
create or replace function roomlog.erase(p_room text, p_user text, p_by text, p_tag uuid, p_data text, out stored bigint, out events bigint)
language plpgsql volatile
as $$
declare
  part record;
begin
  events := 0;
  loop
    select x.* into part from roomlog.erase_some(p_room, p_user, p_by, null, p_tag, p_data, 1000, 100000) x;
    stored := part.stored;
    events := events + part.events;
    exit when not part.more;
  end loop;
end
$$;
-- +goose StatementEnd

-- As in migration 11, and besides: of a message that has as many emoji as it may it is said so.
-- +goose StatementBegin
create or replace function roomlog.append(
  room text, type text, author text, tag text, data text,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set standard_conforming_strings = on
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  p_room   constant text := $1;
  p_type   constant text := $2;
  p_author constant text := $3;
  p_tag    constant text := $4;
  kind     record;
  json     text;
  changes  jsonb;
  a        record;
  mark     bigint;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform roomlog.refuse('bad_request', 'transaction_isolation',
      'An append needs a transaction in read committed: no other sees what was stored while it waited for the room.');
  elsif p_author is null or octet_length(p_author) not between 1 and 128 or p_author in ('.', '..')
    or p_author ~ ('[' || chr(1) || '-' || chr(31) || chr(127) || '-' || chr(159) || chr(65533) || ']')
  then
    perform roomlog.refuse('bad_request', 'author',
      'An author is 1 to 128 bytes of text without control characters, and neither . nor .. alone.');
  elsif p_room is null or octet_length(p_room) > 200 or p_room collate "C" !~ '^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9][A-Za-z0-9_.:@-]*$' then
    perform roomlog.refuse('bad_room', 'room', 'A room id is kind:name, 3 to 200 bytes, such as chat:general.');
  end if;

  perform roomlog.admit(p_room, p_author);
  select k.* into kind from roomlog.kinds k where k.kind in (split_part(p_room, ':', 1), '') order by k.kind desc limit 1;
  if kind.kind is null then
    perform roomlog.refuse('unknown_room', 'room', 'There is no such room for this author.');
  elsif kind.closed is not null then
    perform roomlog.refuse('forbidden', 'room', kind.closed);
  elsif p_tag is null or p_tag collate "C" !~ '^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$' or p_tag = '00000000-0000-0000-0000-000000000000' then
    perform roomlog.refuse('bad_tag', 'tag', 'A tag is a UUID made once per send, such as 0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e.');
  elsif p_type is null or p_type collate "C" !~ '^[a-z][a-z0-9_.-]{0,31}$' then
    perform roomlog.refuse('bad_type', 'type', 'A type is 1 to 32 of a-z, 0-9, _ . -, beginning with a letter, such as message.');
  elsif octet_length($5) > kind.frame_bytes then
    perform roomlog.refuse('message_too_large', 'data', format('The data is larger than a request may be: %s bytes.', kind.frame_bytes));
  end if;
  json := roomlog.compact($5, kind.event_bytes);
  if p_type <> all (kind.types) then
    perform roomlog.refuse('bad_type', 'type', 'Rooms of this kind do not take events of this type.');
  end if;
  changes := roomlog.changes_of(p_type, json);

  -- What becomes of this transaction is what becomes of the room, until it ends. Whoever sees an event may count on it, so
  -- it is on disk before others see it; and a session that nobody uses any more does not keep a room.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  if current_setting('idle_in_transaction_session_timeout') = '0' then
    perform set_config('idle_in_transaction_session_timeout', '1min', true);
  end if;

  for round in 1 .. 8 loop -- rows of rooms that do not exist may come and go; the second time they are made
    select x.* into a from roomlog.append(array[p_room], array[1], array[1], array[1], array[p_author], array[p_tag::uuid],
      array[p_type], array[json], null, case when kind.rooms_per_user > 0 then array[kind.rooms_per_user] end, null, round > 1, 0, changes) x;
    exit when a.heads is not null;
  end loop;
  if a.heads is null then
    perform roomlog.refuse('unavailable', 'room', 'The room comes and goes; try again.');
  end if;

  perform roomlog.admit(p_room, p_author); -- who was kept out while the room was waited for

  epoch := a.epoch || case when a.generations[1] > 0 then '-' || a.generations[1] else '' end;
  duplicate := a.others is not null;
  if not duplicate then
    seq := a.heads[1] + 1;
    mark := a.mark;
    at := a.at;
    insert into roomlog.pokes (topic) select 'room:' || p_room
    where not exists (select from roomlog.pokes k where k.xid = pg_current_xact_id() and k.topic = 'room:' || p_room);
  elsif a.outcomes[1] = 'duplicate' then
    seq := a.seqs[1];
    mark := a.other_marks[1];
    at := a.ats[1];
  elsif a.outcomes[1] = 'limit_exceeded' and p_type = 'reaction' then -- which makes no room
    perform roomlog.refuse('limit_exceeded', 'data', 'The message has as many different emoji as it may; add one of those.');
  elsif a.outcomes[1] = 'limit_exceeded' then
    perform roomlog.refuse('limit_exceeded', 'room', 'This user has created as many rooms of this kind as one may.');
  elsif a.outcomes[1] = 'unknown_target' then
    perform roomlog.refuse('unknown_target', 'target', 'There is no message to change: it was never stored, is of another type, or was deleted.');
  else -- tag_conflict, unless what was sent then is this, and a webhook rewrote it, or it was deleted
    select o.seq, o.mark, o.at into seq, mark, at
    from roomlog.rooms r cross join roomlog.meta m
    cross join lateral (
      select e.seq, e.mark, e.at, coalesce(
        (select d.sum from roomlog.redactions d where d.room = e.room and d.seq = e.seq),
        roomlog.sum(m.secret, (select w.sent from roomlog.rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author))) as sum
      from roomlog.events e
      where e.tag = p_tag::uuid and e.room = r.id and e.author = p_author
      union all
      select t.seq, t.mark, t.at, t.sum from roomlog.tags t where t.tag = p_tag::uuid and t.room = r.id and t.author = p_author
      limit 1) o
    where r.name = p_room and o.sum = roomlog.sum(m.secret, roomlog.fingerprint(p_type, json));
    if seq is null then
      perform roomlog.refuse('tag_conflict', 'tag', 'This tag was used for another event; a new event needs a new tag.');
    end if;
  end if;
  "position" := epoch || ':' || seq || ':' || lpad(to_hex(mark), 8, '0');
end
$$;
-- +goose StatementEnd
