-- +goose Up

-- Maps of rooms. The functions of before that have to know of them are here once more, whole, or under another name behind one that
-- calls them.

create table roomlog.state (
  room   bigint      not null,           -- rooms.id, as everywhere below
  seq    bigint      not null,           -- of the event that set or deleted it
  at     timestamptz not null,           -- of that event
  key    text collate "C" not null,
  author text collate "C" not null,
  value  text collate "C",               -- not json: it is given back byte by byte; null: it was deleted
  primary key (room, key)
);
create index state_seq on roomlog.state (room, seq);
create index state_dead on roomlog.state (room, seq) where value is null;

-- Rooms that have had state.
create table roomlog.state_rooms (
  room   bigint  primary key,
  newest bigint  not null,               -- seq of the newest event of the type state
  keys   integer not null,               -- that have a value
  bytes  integer not null,               -- of those keys and values
  pruned bigint  not null default 0,     -- of what was deleted up to here not all is remembered
  swept  bigint  not null default 0      -- events of the type state may be gone up to here
);

-- The events of other types of such a room: all in [first, last], with those behind state_rooms.newest. Two runs do not
-- touch. So whoever passes over state events need not read them, and an append of another type writes nothing here.
create table roomlog.log_runs (
  room  bigint not null,
  last  bigint not null,
  first bigint not null,
  primary key (room, last)
);

-- What a kind says of the maps of its rooms; 0: the defaults (room.StateKeys, room.StateBytes).
alter table roomlog.kinds add column state_keys integer not null default 0, add column state_bytes integer not null default 0;

-- judge_state says which of the state events of a batch are refused, before the others are judged. p_changes has two lists for them, of
-- which n are places of sends: state: {n, if_seq (null: none), keys, bytes}, the terms; set: {n, key, value (null: it is deleted)}. What is
-- set by an earlier send of the batch counts. A refused one has the outcome keys or bytes, or conflict: and a list of the keys in the way.
-- +goose StatementBegin
create function roomlog.judge_state(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_tags uuid[],
  p_others integer[], p_at timestamptz, out refused integer[], out outcomes text[]
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  c     record;
  k     record;
  fresh jsonb := '{}';     -- what this batch sets: by room and key
  sizes jsonb := '{}';     -- by room, what its map has
  size  jsonb;
  way   jsonb;             -- the keys that are in the way
  keys  bigint;            -- by how many more there will be
  bytes bigint;
  place bigint;            -- of the send behind the head
begin
  for c in
    select x.n, x.if_seq, x.keys, x.bytes, p_rooms[x.n] as room, p_authors[x.n] as author, p_tags[x.n] as tag
    from jsonb_to_recordset(p_changes->'state') as x (n integer, if_seq bigint, keys integer, bytes integer)
    where x.n <> all (coalesce(p_others, '{}')) order by x.n
  loop
    if p_changes ? 'again' and exists (
      select from jsonb_to_recordset(p_changes->'again') as y (n integer) where y.n = c.n)
      and exists (select from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
        where s.tag = c.tag and s.room = c.room and s.author = c.author and s.n < c.n and s.n <> all (coalesce(p_others || refused, '{}')))
    then
      continue; -- it follows that one
    end if;
    size := sizes -> c.room::text;
    if size is null then
      select jsonb_build_object('keys', r.keys, 'bytes', r.bytes) into size from roomlog.state_rooms r where r.room = p_ids[c.room];
      size := coalesce(size, '{"keys":0,"bytes":0}');
    end if;
    way := null;
    keys := 0;
    bytes := 0;
    for k in
      select s.key, s.value, f.seq is not null as is_fresh, coalesce(f.seq, e.seq) as seq, coalesce(f.author, e.author) as author,
        coalesce(f.at, e.at) as at, case when f.seq is not null then f.value else e.value end as old
      from jsonb_to_recordset(p_changes->'set') as s (n integer, key text, value text)
      left join lateral jsonb_to_record(fresh -> (c.room || ':' || s.key)) as f (seq bigint, author text, at timestamptz, value text) on true
      left join lateral (select x.seq, x.author, x.at, x.value from roomlog.state x where x.room = p_ids[c.room] and x.key = s.key limit 1) e on true
      where s.n = c.n
    loop
      if c.if_seq = 0 and k.old is not null or c.if_seq > 0 and k.seq > c.if_seq then
        way := coalesce(way, '[]') || jsonb_build_object('key', k.key, 'value', k.old, 'seq', k.seq, 'author', k.author, 'at', k.at);
      end if;
      keys := keys + (k.value is not null)::integer - (k.old is not null)::integer;
      bytes := bytes + coalesce(octet_length(k.key) + octet_length(k.value), 0) - coalesce(octet_length(k.key) + octet_length(k.old), 0);
    end loop;
    if way is not null or keys > 0 and (size->>'keys')::bigint + keys > c.keys or bytes > 0 and (size->>'bytes')::bigint + bytes > c.bytes then
      refused := refused || c.n;
      outcomes := outcomes || case when way is not null then 'conflict:' || way::text
        when keys > 0 and (size->>'keys')::bigint + keys > c.keys then 'keys' else 'bytes' end;
      continue;
    end if;
    sizes := jsonb_set(sizes, array[c.room::text], jsonb_build_object('keys', (size->>'keys')::bigint + keys, 'bytes', (size->>'bytes')::bigint + bytes));
    select p_heads[c.room] + count(*) into place from unnest(p_rooms) with ordinality as q (room, n)
    where q.room = c.room and q.n <= c.n and q.n <> all (coalesce(p_others || refused, '{}'));
    select fresh || jsonb_object_agg(c.room || ':' || s.key, jsonb_build_object('seq', place, 'author', c.author, 'at', p_at, 'value', s.value))
    into fresh from jsonb_to_recordset(p_changes->'set') as s (n integer, key text, value text) where s.n = c.n;
  end loop;
end
$$;
-- +goose StatementEnd

-- set_state does to the maps what the state events of a batch say that are stored now; arguments are as of apply_changes.
-- +goose StatementBegin
create function roomlog.set_state(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_numbers integer[], p_at timestamptz
) returns void language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  c    record;
  was  roomlog.state_rooms%rowtype;
  more record;
  dead bigint;
begin
  for c in
    select x.n, x.keys, p_ids[p_rooms[x.n]] as room, p_heads[p_rooms[x.n]] + p_numbers[x.n] as seq, p_authors[x.n] as author
    from jsonb_to_recordset(p_changes->'state') as x (n integer, keys integer)
    where p_numbers[x.n] is not null order by x.n
  loop
    select * into was from roomlog.state_rooms r where r.room = c.room;
    if not found then
      insert into roomlog.state_rooms (room, newest, keys, bytes) values (c.room, 0, 0, 0) returning * into was;
    end if;
    select count(s.value) - count(e.value) as keys, bool_or(s.value is null) as deletes,
      sum(coalesce(octet_length(s.key) + octet_length(s.value), 0) - coalesce(octet_length(s.key) + octet_length(e.value), 0)) as bytes
    into more
    from jsonb_to_recordset(p_changes->'set') as s (n integer, key text, value text)
    left join lateral (select x.value from roomlog.state x where x.room = c.room and x.key = s.key limit 1) e on true
    where s.n = c.n;
    insert into roomlog.state (room, key, seq, at, author, value)
    select c.room, s.key, c.seq, p_at, c.author, s.value
    from jsonb_to_recordset(p_changes->'set') as s (n integer, key text, value text) where s.n = c.n
    on conflict (room, key) do update set seq = excluded.seq, at = excluded.at, author = excluded.author, value = excluded.value;
    if c.seq > was.newest + 1 then
      insert into roomlog.log_runs (room, last, first) values (c.room, c.seq - 1, was.newest + 1);
    end if;
    dead := null;
    if more.deletes then -- of those no more are remembered than there may be keys
      select x.seq into dead from roomlog.state x where x.room = c.room and x.value is null order by x.seq desc limit 1 offset c.keys;
      delete from roomlog.state x where x.room = c.room and x.value is null and x.seq <= dead;
    end if;
    update roomlog.state_rooms r set newest = c.seq, keys = r.keys + more.keys, bytes = r.bytes + more.bytes, pruned = greatest(r.pruned, dead)
    where r.room = c.room;
  end loop;
end
$$;
-- +goose StatementEnd

-- judge_messages and apply_messages are judge_changes of migration 14 and apply_changes of migration 11, for messages and members.
-- +goose StatementBegin
create function roomlog.judge_messages(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_tags uuid[], p_types text[],
  p_others integer[], p_at timestamptz, out refused integer[], out outcomes text[], out seqs bigint[], out targets bigint[]
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  c       record;
  e       record;          -- the target, where it is stored
  m       integer;         -- its place in the batch, where it is about to be
  dead    text[] := '{}';  -- what this batch deletes
  fresh   text[] := '{}';  -- the emoji that it adds: each behind the message that had it not
  about   text;            -- the target, in those two
  emoji   text[];          -- different ones that the target has
  target  bigint;
  author  text;
  outcome text;
begin
  targets := array_fill(null::bigint, array[cardinality(p_rooms)]);
  for c in
    select n, x.target, x.tag, x.own, x.others, x.within, x.value, x.remove, x.own is not null as changes, y.again, p_rooms[n] as room, p_authors[n] as author
    from jsonb_to_recordset(p_changes->'changes') as x (n integer, target bigint, tag uuid, own boolean, others boolean, within bigint, value text, remove boolean)
    full join (select z.n, true as again from jsonb_to_recordset(p_changes->'again') as z (n integer)) y using (n)
    where n <> all (coalesce(p_others, '{}')) order by n
  loop
    m := null;
    if c.again then
      select s.n into m from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
      where s.tag = p_tags[c.n] and s.room = c.room and s.author = c.author and s.n < c.n
        and s.n <> all (coalesce(p_others || refused, '{}')) limit 1;
      if found then
        refused := refused || c.n;
        outcomes := outcomes || 'follows'::text;
        seqs := seqs || m::bigint;
        continue;
      end if;
    end if;
    continue when not c.changes;
    if c.target is not null then
      select x.seq, x.type, x.author, x.at, x.gone into e from roomlog.events x where x.room = p_ids[c.room] and x.seq = c.target;
      if not found and c.target > p_heads[c.room] then
        select s.n into m from (
          select q.n, row_number() over (order by q.n) as number from unnest(p_rooms) with ordinality as q (room, n)
          where q.room = c.room and q.n <> all (coalesce(p_others || refused, '{}'))) s
        where s.number = c.target - p_heads[c.room] and s.n < c.n;
      end if;
    else
      select x.seq, x.type, x.author, x.at, x.gone into e from roomlog.events x
      where x.tag = c.tag and x.room = p_ids[c.room] and x.author = c.author limit 1;
      if not found then
        select s.n into m from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
        where s.tag = c.tag and s.room = c.room and s.author = c.author and s.n < c.n
          and s.n <> all (coalesce(p_others || refused, '{}')) limit 1;
      end if;
    end if;

    target := case when m is null then e.seq else -m end;
    author := case when m is null then e.author else p_authors[m] end;
    about := c.room || ':' || target || ' ';
    emoji := null;
    if p_types[c.n] = 'reaction' and c.remove is not true and about || c.value <> all (fresh)
      and not exists (select from roomlog.reactions x where x.room = p_ids[c.room] and x.seq = target and x.emoji = c.value) then
      emoji := array(
        select x.emoji from roomlog.reactions x where x.room = p_ids[c.room] and x.seq = target
        union select substr(s.text, length(about) + 1) from unnest(fresh) as s (text) where starts_with(s.text, about));
    end if;
    outcome := case
      when target is null or case when m is null then e.type else p_types[m] end <> 'message'
        or e.gone is not null or c.room || ':' || target = any (dead) then 'unknown_target'
      when cardinality(emoji) >= 20 then 'limit_exceeded'
      when p_types[c.n] = 'reaction' or c.others then null
      when c.own is not true or author <> c.author then 'not_yours'
      when c.within > 0 and m is null and e.at < p_at - c.within * interval '1 microsecond' then 'too_late'
    end;
    if outcome is not null then
      refused := refused || c.n;
      outcomes := outcomes || outcome;
      seqs := seqs || 0::bigint;
    else
      targets[c.n] := target;
      if emoji is not null then
        fresh := fresh || (about || c.value);
      end if;
      if p_types[c.n] = 'delete' then
        dead := dead || (c.room || ':' || target);
      end if;
    end if;
  end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function roomlog.apply_messages(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_types text[],
  p_numbers integer[], p_targets bigint[], p_at timestamptz
) returns void language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  c record;
begin
  insert into roomlog.mentions (room, who, seq, ordinal)
  select e.room, x.who, e.seq, e.ordinal
  from jsonb_to_recordset(p_changes->'mentions') as x (n integer, who text)
  cross join lateral (
    select y.room, y.seq, y.ordinal from roomlog.events y
    where y.room = p_ids[p_rooms[x.n]] and y.seq = p_heads[p_rooms[x.n]] + p_numbers[x.n] limit 1) e
  on conflict do nothing;

  for c in
    select x.*, p_ids[p_rooms[x.n]] as room, p_heads[p_rooms[x.n]] + p_numbers[x.n] as seq, p_authors[x.n] as author, p_targets[x.n] as target
    from jsonb_to_recordset(p_changes->'changes') as x (n integer, value text, remove boolean)
    where p_numbers[x.n] is not null order by x.n
  loop
    if p_types[c.n] = 'edit' then
      insert into roomlog.edits (room, seq, edit_seq, at, who, data) values (c.room, c.target, c.seq, p_at, c.author, c.value)
      on conflict (room, seq) do update set edit_seq = excluded.edit_seq, at = excluded.at, who = excluded.who, data = excluded.data;
    elsif p_types[c.n] = 'delete' then
      perform roomlog.redact(c.room, c.target, c.seq, c.author, p_at);
    elsif c.remove then
      delete from roomlog.reactions x where x.room = c.room and x.seq = c.target and x.emoji = c.value and x.who = c.author;
    else
      insert into roomlog.reactions (room, seq, emoji, who, at_seq) values (c.room, c.target, c.value, c.author, c.seq)
      on conflict do nothing;
    end if;
  end loop;

  for c in
    select x.*, p_ids[p_rooms[x.n]] as room, p_heads[p_rooms[x.n]] + p_numbers[x.n] as seq, p_authors[x.n] as author
    from jsonb_to_recordset(p_changes->'members') as x (n integer, who text, role text)
    where p_numbers[x.n] is not null order by x.n
  loop
    if c.role <> '' then
      insert into roomlog.members as m (room, who, role, since_seq, at, by) values (c.room, c.who, c.role, c.seq, p_at, c.author)
      on conflict (room, who) do update set role = excluded.role, by = excluded.by;
    else
      delete from roomlog.members m where m.room = c.room and m.who = c.who;
    end if;
  end loop;
end
$$;
-- +goose StatementEnd

-- judge_changes and apply_changes, which append calls: those, and state.
-- +goose StatementBegin
create or replace function roomlog.judge_changes(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_tags uuid[], p_types text[],
  p_others integer[], p_at timestamptz, out refused integer[], out outcomes text[], out seqs bigint[], out targets bigint[]
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  state record;
begin
  if not p_changes ? 'state' then
    select * into refused, outcomes, seqs, targets
    from roomlog.judge_messages(p_changes, p_ids, p_heads, p_rooms, p_authors, p_tags, p_types, p_others, p_at);
    return;
  end if;
  select * into state from roomlog.judge_state(p_changes, p_ids, p_heads, p_rooms, p_authors, p_tags, p_others, p_at);
  select * into refused, outcomes, seqs, targets
  from roomlog.judge_messages(p_changes, p_ids, p_heads, p_rooms, p_authors, p_tags, p_types, p_others || state.refused, p_at);
  if state.refused is not null then
    refused := refused || state.refused;
    outcomes := outcomes || state.outcomes;
    seqs := seqs || array_fill(0::bigint, array[cardinality(state.refused)]);
  end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function roomlog.apply_changes(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_types text[],
  p_numbers integer[], p_targets bigint[], p_at timestamptz
) returns void language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  perform roomlog.apply_messages(p_changes, p_ids, p_heads, p_rooms, p_authors, p_types, p_numbers, p_targets, p_at);
  if p_changes ? 'state' then
    perform roomlog.set_state(p_changes, p_ids, p_heads, p_rooms, p_authors, p_numbers, p_at);
  end if;
end
$$;
-- +goose StatementEnd

-- sweep_state removes events of the type state that are older than p_events (null: none), and what was deleted of the map longer ago than
-- p_keys, at most p_limit of either.
-- +goose StatementBegin
create function roomlog.sweep_state(p_room text, p_events interval, p_keys interval, p_limit integer) returns integer language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  r     roomlog.rooms%rowtype;
  s     roomlog.state_rooms%rowtype;
  upto  bigint;
  begins bigint;
  n     integer := 0;
  dead  bigint[];
begin
  select * into r from roomlog.rooms x where x.name = p_room for update;
  select * into s from roomlog.state_rooms x where x.room = r.id;
  if not found then
    return 0;
  end if;
  select max(y.seq) into upto from (
    select x.seq, x.at from roomlog.state x where x.room = r.id and x.value is null order by x.seq limit p_limit) y
  where y.at < clock_timestamp() - p_keys;
  if upto is not null then
    delete from roomlog.state x where x.room = r.id and x.value is null and x.seq <= upto;
    get diagnostics n = row_count;
    update roomlog.state_rooms x set pruned = greatest(x.pruned, upto) where x.room = r.id;
  end if;
  if p_events is null or n >= p_limit then
    return n;
  end if;
  -- Where what is behind the last of them is a run of others, it is passed over.
  select coalesce((select x.last from roomlog.log_runs x where x.room = r.id and x.last > s.swept and x.first <= s.swept + 1 order by x.last limit 1), s.swept) + 1
  into begins;
  dead := array(select e.seq from roomlog.events e
    where e.room = r.id and e.seq >= begins and e.seq <= s.newest and e.type = 'state' and e.at < clock_timestamp() - p_events
    order by e.seq limit p_limit - n);
  if dead = '{}' then
    return n;
  end if;
  with gone as (
    delete from roomlog.events e where e.ctid = any (array(
      select x.ctid from unnest(dead) as d (seq) cross join lateral (select y.ctid from roomlog.events y where y.room = r.id and y.seq = d.seq limit 1) x))
    returning e.tag, e.room, e.author, e.seq
  ), sent as (
    delete from roomlog.rewrites w using gone g where w.tag = g.tag and w.room = g.room and w.author = g.author
  )
  delete from roomlog.redactions d using gone g where d.room = g.room and d.seq = g.seq;
  update roomlog.state_rooms x set swept = dead[cardinality(dead)] where x.room = r.id;
  return n + cardinality(dead);
end
$$;
-- +goose StatementEnd

-- As in migration 11, and besides: of a room with state the number of events that is kept is that of the others.
-- +goose StatementBegin
create or replace function roomlog.prune(p_room text, p_age interval, p_events bigint, p_tags interval, p_limit integer)
returns integer language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  r     roomlog.rooms%rowtype;
  upto  bigint; -- the floor afterwards, as far as is known
  most  bigint; -- that it may come to
  kept  bigint; -- the oldest of those that are kept by number
begin
  select * into r from roomlog.rooms x where x.name = p_room for update;
  if not found then
    return 0;
  end if;
  most := least(r.floor + p_limit, r.head + 1);
  upto := r.floor;
  if p_events > 0 then
    kept := r.head - p_events + 1;
    select case when r.head - s.newest >= p_events then kept else coalesce((
      select x.first + x.total - (p_events - r.head + s.newest)
      from (select y.first, y.last, sum(y.last - y.first + 1) over (order by y.last desc)::bigint as total from roomlog.log_runs y where y.room = r.id) x
      where x.total >= p_events - r.head + s.newest order by x.last desc limit 1), r.floor) end
    into kept from roomlog.state_rooms s where s.room = r.id;
    upto := least(greatest(upto, coalesce(kept, r.head - p_events + 1)), most);
  end if;
  if p_age > interval '0' then
    select coalesce(min(young.seq), most) into upto from (
      select e.seq from roomlog.events e
      where e.room = r.id and e.seq >= upto and e.seq < most and e.at >= clock_timestamp() - p_age
      order by e.seq limit 1) young;
  end if;
  if upto = r.floor then
    return 0;
  end if;

  update roomlog.rooms x set floor = upto,
    floor_mark = coalesce((select e.mark from roomlog.events e where e.room = r.id and e.seq = upto - 1), 0) -- state that was swept has none
  where x.id = r.id;

  with gone as (
    delete from roomlog.events e where e.room = r.id and e.seq >= r.floor and e.seq < upto returning e.*
  ), sent as (
    delete from roomlog.rewrites w using gone g
    where w.tag = g.tag and w.room = g.room and w.author = g.author returning w.tag, w.author, w.sent
  ), redacted as (
    delete from roomlog.redactions d where d.room = r.id and d.seq >= r.floor and d.seq < upto returning d.*
  )
  insert into roomlog.tags (room, seq, mark, at, tag, author, target, gone, gone_who, gone_at, sum)
  select g.room, g.seq, g.mark, g.at, g.tag, g.author, g.target, g.gone, d.who, d.at,
    coalesce(d.sum, roomlog.sum((select m.secret from roomlog.meta m), coalesce(w.sent, roomlog.fingerprint(g.type, g.data))))
  from gone g left join sent w on w.tag = g.tag and w.author = g.author left join redacted d on d.seq = g.seq
  where g.at > clock_timestamp() - p_tags;
  delete from roomlog.edits x where x.room = r.id and x.seq < upto;
  delete from roomlog.reactions x where x.room = r.id and x.seq < upto;
  delete from roomlog.mentions x where x.room = r.id and x.seq < upto;
  delete from roomlog.log_runs x where x.room = r.id and x.last < upto;
  return upto - r.floor;
end
$$;
-- +goose StatementEnd

-- As in migration 20, and besides: values of the user are deleted.
-- +goose StatementBegin
create or replace function roomlog.erase_some(
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
    and not exists (select from roomlog.state x where x.room = r.id and x.author = p_user and x.value is not null)
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
  update roomlog.state x set value = null, seq = stored, author = p_by, at = moment
  where x.room = r.id and x.author = p_user and x.value is not null;
  if found then
    update roomlog.state_rooms y set (keys, bytes) = (
      select count(*), coalesce(sum(octet_length(x.key) + octet_length(x.value)), 0) from roomlog.state x where x.room = r.id and x.value is not null)
    where y.room = r.id;
  end if;
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

-- What append from SQL needs besides.
-- +goose StatementBegin
create or replace function roomlog.refuse(code text, field text, title text) returns void language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '%: %', code, title using column = field, errcode = case code
    when 'bad_request'       then 'RL001'
    when 'bad_room'          then 'RL002'
    when 'unknown_room'      then 'RL003'
    when 'forbidden'         then 'RL004'
    when 'revoked'           then 'RL005'
    when 'bad_tag'           then 'RL006'
    when 'bad_type'          then 'RL007'
    when 'bad_data'          then 'RL008'
    when 'message_too_large' then 'RL009'
    when 'tag_conflict'      then 'RL010'
    when 'limit_exceeded'    then 'RL011'
    when 'unavailable'       then 'RL012'
    when 'unknown_target'    then 'RL013'
    when 'conflict'          then 'RL014'
  end;
end
$$;
-- +goose StatementEnd

-- set_of reads what a state event sets, as the set of p_changes. Keys and values are read as field does.
-- +goose StatementBegin
create function roomlog.set_of(p_json text) returns jsonb language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  bs     constant text := chr(92);
  form   constant text := 'A state event is an object of 1 to 64 keys; a key is 1 to 128 bytes of text without control characters and comes once.';
  k      record;
  key    text;
  value  text;
  depths text;
  list   jsonb := '[]';
  seen   text[] := '{}';
begin
  if left(p_json, 1) <> '{' then
    perform roomlog.refuse('bad_data', 'data', form);
  end if;
  for k in
    select e.key, e.value::text as value
    from json_each(replace(replace(replace(p_json, repeat(bs, 2), chr(1)), bs || 'u', repeat(bs, 2) || 'u'), chr(1), repeat(bs, 4))::json) as e
  loop
    key := case when k.key !~ ('[' || chr(1) || '-' || chr(31) || ']') then roomlog.text_of('"' || replace(k.key, '"', bs || '"') || '"', 128) end;
    value := replace(replace(replace(k.value, repeat(bs, 4), chr(1)), repeat(bs, 2) || 'u', bs || 'u'), chr(1), repeat(bs, 2));
    if key is null or position(chr(65533) in key) > 0 or key = any (seen) then
      perform roomlog.refuse('bad_data', 'data', form);
    end if;
    if length(value) - length(translate(value, '[{', '')) > 32 then
      depths := regexp_replace(value, '"([^"' || bs || bs || ']|' || bs || bs || '.)*"', '', 'g');
      if 32 < (select max(d.depth) from (
        select sum(case when b.c in ('[', '{') then 1 else -1 end) over (order by b.n) as depth
        from string_to_table(depths, null) with ordinality as b (c, n) where b.c in ('[', '{', ']', '}')) d)
      then
        perform roomlog.refuse('bad_data', 'data', 'A value nests 32 levels at most.');
      end if;
    end if;
    seen := seen || key;
    list := list || jsonb_build_object('n', 1, 'key', key, 'value', nullif(value, 'null'));
  end loop;
  if cardinality(seen) not between 1 and 64 then
    perform roomlog.refuse('bad_data', 'data', form);
  end if;
  return list;
end
$$;
-- +goose StatementEnd

-- append from SQL, as in migration 20, and besides: state events, and if_seq, the seq after which their keys must not have been changed.
-- +goose StatementBegin
create function roomlog.append(
  room text, type text, author text, tag text, data text, if_seq bigint,
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
  if if_seq is not null and (p_type <> 'state' or if_seq not between 0 and 9007199254740991) then
    perform roomlog.refuse('bad_request', 'if_seq', 'An if_seq is a seq, from 0 to 2^53-1, of an event of the type state.');
  elsif p_type = 'state' then
    changes := jsonb_build_object('set', roomlog.set_of(json), 'state', jsonb_build_array(jsonb_build_object('n', 1, 'if_seq', if_seq,
      'keys', coalesce(nullif(kind.state_keys, 0), 1000), 'bytes', coalesce(nullif(kind.state_bytes, 0), 524288))));
  else
    changes := roomlog.changes_of(p_type, json);
  end if;

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
  elsif a.outcomes[1] like 'conflict:%' then
    perform roomlog.refuse('conflict', 'if_seq', 'A key was changed since: its value is another than you saw.');
  elsif a.outcomes[1] in ('keys', 'bytes') then
    perform roomlog.refuse('limit_exceeded', a.outcomes[1], 'The map of the room has as many keys, or is as large, as it may be.');
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

-- +goose StatementBegin
create or replace function roomlog.append(
  room text, type text, author text, tag text, data text,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ begin select * into seq, epoch, "position", at, duplicate from roomlog.append($1, $2, $3, $4, $5, null::bigint); end $$;
-- +goose StatementEnd

create function roomlog.append(
  room text, type text, author text, tag uuid, data text, if_seq bigint,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language sql volatile as $$ select * from roomlog.append($1, $2, $3, $4::text, $5::text, $6) $$;

create function roomlog.append(
  room text, type text, author text, tag text, data json, if_seq bigint,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language sql volatile as $$ select * from roomlog.append($1, $2, $3, $4::text, $5::text, $6) $$;

create function roomlog.append(
  room text, type text, author text, tag uuid, data json, if_seq bigint,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language sql volatile as $$ select * from roomlog.append($1, $2, $3, $4::text, $5::text, $6) $$;

revoke execute on function roomlog.append(text, text, text, text, text, bigint) from public;
revoke execute on function roomlog.append(text, text, text, uuid, text, bigint) from public;
revoke execute on function roomlog.append(text, text, text, text, json, bigint) from public;
revoke execute on function roomlog.append(text, text, text, uuid, json, bigint) from public;
