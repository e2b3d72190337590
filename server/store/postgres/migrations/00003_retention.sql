-- +goose Up

-- A room exists from created_at on, until it is deleted. floor is that of the log layer: the oldest event
-- that is kept. events holds floor to head of a room at every moment.
alter table roomlog.rooms
  add column created_at timestamptz,             -- null: it does not exist
  add column created_by text collate "C";        -- '': not known

update roomlog.rooms r set
  created_at = coalesce((select e.at from roomlog.events e where e.room = r.id and e.seq = 1), clock_timestamp()),
  created_by = coalesce((select e.author from roomlog.events e where e.room = r.id and e.seq = 1), '')
where r.head > 0;

-- How many rooms of a kind that exist a user has created.
create table roomlog.creators (
  author text collate "C" not null,
  kind   text collate "C" not null,
  rooms  bigint not null default 0,
  primary key (author, kind)
);
insert into roomlog.creators (author, kind, rooms)
select created_by, split_part(name, ':', 1), count(*) from roomlog.rooms where created_at is not null group by 1, 2;

-- What an author sent where something else was stored, as roomlog.fingerprint. The tag leads, as in events_tag.
create table roomlog.rewrites (
  room   bigint not null,                        -- rooms.id
  author text collate "C" not null,
  tag    uuid   not null,
  sent   bytea  not null,
  primary key (tag, room, author)
);

-- What is remembered of an event that was pruned: enough to answer a repeat, without what it said.
create table roomlog.tags (
  room   bigint      not null,                   -- rooms.id
  seq    bigint      not null,
  mark   bigint      not null,
  at     timestamptz not null,
  tag    uuid        not null,
  author text collate "C" not null,
  sum    bytea       not null,                   -- roomlog.sum of what its author sent
  primary key (room, seq)
);
create unique index tags_tag on roomlog.tags (tag, room, author);
create index tags_at on roomlog.tags (at);

-- Ids of rooms that were deleted, whose events and tags are still to be removed. No room has such an id.
create table roomlog.leftovers (
  room bigint primary key
);

alter table roomlog.meta add column secret bytea not null default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- fingerprint stands for a type and data; no type has the byte 0.
create function roomlog.fingerprint(type text, data text) returns bytea language sql stable
return sha256(convert_to(type, 'UTF8') || '\x00'::bytea || convert_to(data, 'UTF8'));

-- sum tells whether a repeat is the event that was pruned, by the fingerprint of what was sent. It is keyed, so
-- that the sum of a short text cannot be looked up elsewhere.
create function roomlog.sum(secret bytea, sent bytea) returns bytea language sql immutable
return sha256(secret || sent);

-- create_rooms makes those of the rooms exist that do not, each created by the first author in order who
-- may create one more of its kind (limit 0: as many as they like), and gives the places in the arrays
-- that are refused because their author may not. The caller has locked the rooms. Creators are locked after
-- rooms, in order of their names, so that no two callers wait for each other.
-- +goose StatementBegin
create function roomlog.create_rooms(p_rooms text[], p_authors text[], p_repeats boolean[], p_limits integer[])
returns integer[] language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  refused integer[] := '{}';
  late    integer[];
begin
  insert into roomlog.creators (author, kind)
  select distinct s.author collate "C", split_part(s.name, ':', 1) collate "C"
  from unnest(p_rooms, p_authors, p_repeats) as s (name, author, repeat)
  join roomlog.rooms r on r.name = s.name and r.created_at is null
  where not s.repeat order by 1, 2
  on conflict do nothing;

  perform from roomlog.creators c
  where (c.author, c.kind) in (
    select s.author, split_part(s.name, ':', 1) from unnest(p_rooms, p_authors, p_repeats) as s (name, author, repeat)
    join roomlog.rooms r on r.name = s.name and r.created_at is null
    where not s.repeat)
  order by c.author, c.kind for update;

  loop
    with absent as materialized (
      select s.n::integer, s.name, s.author, split_part(s.name, ':', 1) as kind, coalesce(s.most, 0) as most
      from unnest(p_rooms, p_authors, p_repeats, p_limits) with ordinality as s (name, author, repeat, most, n)
      join roomlog.rooms r on r.name = s.name and r.created_at is null
      where not s.repeat and s.n::integer <> all (refused)
    ), first as (
      select distinct on (a.name) a.* from absent a order by a.name, a.n
    ), ranked as materialized (
      select f.*, c.rooms + row_number() over (partition by f.author, f.kind order by f.n) as place
      from first f join roomlog.creators c on c.author = f.author and c.kind = f.kind
    ), made as (
      update roomlog.rooms r set created_at = clock_timestamp(), created_by = k.author
      from ranked k where r.name = k.name and (k.most = 0 or k.place <= k.most)
      returning k.author, k.kind
    ), counted as (
      update roomlog.creators c set rooms = c.rooms + m.n
      from (select author, kind, count(*) as n from made group by author, kind) m
      where c.author = m.author and c.kind = m.kind
    )
    select array_agg(a.n) into late
    from absent a join ranked k on k.name = a.name and k.author = a.author
    where k.most > 0 and k.place > k.most;
    exit when late is null;
    refused := refused || late;
  end loop;
  return refused;
end
$$;
-- +goose StatementEnd

-- append as in the first migration, and besides: p_limits says of each send how many rooms of the kind its
-- author may have created (null or 0: any number). A send that would create one too many is answered
-- by the outcome limit_exceeded, and stores nothing. The tag of an event that was pruned is found in tags. room
-- is the id of each send's room, null where there is none.
drop function roomlog.append(text[], text[], uuid[], text[], text[], boolean[]);
-- +goose StatementBegin
create function roomlog.append(
  p_rooms text[], p_authors text[], p_tags uuid[], p_types text[], p_datas text[], p_repeats boolean[],
  p_limits integer[] default null
) returns table (
  send integer, outcome text, seq bigint, mark bigint, at timestamptz,
  epoch text, before bigint, before_mark bigint, head bigint, head_mark bigint, floor bigint, floor_mark bigint,
  room bigint
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  locked_at timestamptz;
  seed      bigint;
  absent    boolean;
  refused   integer[] := '{}';
begin
  -- Rooms are made before any is locked, each step in order of names: the other way round, two batches
  -- could each hold a room that the other is about to make or lock.
  insert into roomlog.rooms (name)
  select s.name from (select distinct s.name collate "C" as name from unnest(p_rooms, p_repeats) as s (name, repeat) where not s.repeat) s
  where not exists (select from roomlog.rooms r where r.name = s.name)
  order by 1
  on conflict do nothing;

  select bool_or(x.created_at is null) into absent
  from (select r.created_at from roomlog.rooms r where r.name = any (p_rooms) order by r.name for update) x;

  if absent then
    refused := roomlog.create_rooms(p_rooms, p_authors, p_repeats, p_limits);
    -- A row that was made for nothing: only this transaction has seen it.
    delete from roomlog.rooms r where r.name = any (p_rooms) and r.created_at is null and r.generation = 0;
  end if;

  -- now() is when the transaction began, before the wait for the lock: later seqs would seem earlier.
  locked_at := clock_timestamp();
  seed := (random() * 4503599627370496)::bigint;

  -- A statement of its own, so that its snapshot holds what the last holder of the locks committed.
  return query
  with known as materialized (
    -- Once for each room, not for each send: under a snapshot that is held, a busy room has thousands of dead
    -- rows, and every probe walks them.
    select * from roomlog.rooms r where r.name = any (p_rooms) and r.created_at is not null
  ), found as materialized (
    -- The lateral lookups, limited to one, are a probe of an index per send; a join could become a scan.
    -- What was pruned is looked for only where something was.
    select s.n::integer as n, s.author, s.tag, s.type, s.data, s.repeat or s.n::integer = any (refused) as repeat,
      s.n::integer = any (refused) as refused,
      r.id as room, r.generation, r.head, r.head_mark, r.floor, r.floor_mark,
      coalesce(old.seq, gone.seq) as old_seq, coalesce(old.mark, gone.mark) as old_mark, coalesce(old.at, gone.at) as old_at,
      coalesce(old.same, gone.same) as same
    from unnest(p_rooms, p_authors, p_tags, p_types, p_datas, p_repeats) with ordinality
      as s (name, author, tag, type, data, repeat, n)
    left join known r on r.name = s.name
    left join lateral (
      select e.seq, e.mark, e.at, e.type = s.type and e.data = s.data as same
      from roomlog.events e where e.tag = s.tag and e.room = r.id and e.author = s.author limit 1
    ) old on true
    left join lateral (
      select t.seq, t.mark, t.at, t.sum = roomlog.sum((select m.secret from roomlog.meta m), roomlog.fingerprint(s.type, s.data)) as same
      from roomlog.tags t
      where r.floor > 1 and old.seq is null and t.tag = s.tag and t.room = r.id and t.author = s.author limit 1
    ) gone on true
  ), judged as materialized (
    -- The send that stores this send's event: the first with its tag in the batch, unless one is stored.
    select f.*, min(f.n) filter (where f.old_seq is null and not f.repeat)
      over (partition by f.room, f.tag, f.author) as storer
    from found f
  ), placed as materialized (
    select j.*, row_number() over room as place,
      count(*) filter (where j.n = j.storer) over room as stored_so_far,
      count(*) filter (where j.n = j.storer) over (partition by j.room) as added,
      1 + (hashint8extended(j.room, seed) & 4294967295) % 4294967295 as new_mark
    from judged j
    window room as (partition by j.room order by j.n)
  ), numbered as materialized (
    select p.*, max(p.head + p.stored_so_far) filter (where p.n = p.storer)
      over (partition by p.room, p.tag, p.author) as new_seq
    from placed p
  ), stored as (
    insert into roomlog.events (room, seq, mark, at, tag, type, author, data)
    select v.room, v.new_seq, v.new_mark, locked_at, v.tag, v.type, v.author, v.data
    from numbered v where v.n = v.storer order by v.room, v.new_seq
  ), bumped as (
    update roomlog.rooms r set head = r.head + v.added, head_mark = v.new_mark
    from numbered v where v.place = 1 and v.added > 0 and r.id = v.room
  ), answered as (
    select v.*, case
        when v.refused then 'limit_exceeded'
        when v.old_seq is not null then case when v.same then 'duplicate' else 'tag_conflict' end
        when v.n = v.storer then 'stored'
        when v.n > v.storer then case
          when v.type = p_types[v.storer] and v.data = p_datas[v.storer] then 'duplicate' else 'tag_conflict' end
        else 'not_stored'
      end as outcome
    from numbered v
  )
  select v.n, v.outcome,
    case when v.outcome in ('stored', 'duplicate') then coalesce(v.old_seq, v.new_seq) end,
    case when v.outcome in ('stored', 'duplicate') then coalesce(v.old_mark, v.new_mark) end,
    case when v.outcome in ('stored', 'duplicate') then coalesce(v.old_at, locked_at) end,
    g.epoch, g.before, g.before_mark, g.head, g.head_mark, g.floor, g.floor_mark, v.room
  from answered v
  left join lateral (
    select m.epoch || case when v.generation > 0 then '-' || v.generation else '' end as epoch,
      v.head as before, v.head_mark as before_mark, v.head + v.added as head,
      case when v.added > 0 then v.new_mark else v.head_mark end as head_mark, v.floor, v.floor_mark
    from roomlog.meta m where v.place = 1 and v.room is not null
  ) g on true
  order by v.n;
end
$$;
-- +goose StatementEnd

-- prune removes at most p_limit events of a room, the oldest first: those before the newest p_events (0: any
-- number stays) and, from there, those in a row that are older than p_age (zero: any age stays). It gives
-- how many; the room's floor moves with them. Their tags stay for p_tags from when they were stored.
-- +goose StatementBegin
create function roomlog.prune(p_room text, p_age interval, p_events bigint, p_tags interval, p_limit integer)
returns integer language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  r     roomlog.rooms%rowtype;
  upto  bigint; -- the floor afterwards, as far as is known
  most  bigint; -- that it may come to
begin
  select * into r from roomlog.rooms x where x.name = p_room for update;
  if not found then
    return 0;
  end if;
  most := least(r.floor + p_limit, r.head + 1);
  upto := r.floor;
  if p_events > 0 then
    upto := least(greatest(upto, r.head - p_events + 1), most);
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
    floor_mark = (select e.mark from roomlog.events e where e.room = r.id and e.seq = upto - 1)
  where x.id = r.id;

  with gone as (
    delete from roomlog.events e where e.room = r.id and e.seq >= r.floor and e.seq < upto returning e.*
  ), sent as (
    delete from roomlog.rewrites w using gone g
    where w.tag = g.tag and w.room = g.room and w.author = g.author returning w.tag, w.author, w.sent
  )
  insert into roomlog.tags (room, seq, mark, at, tag, author, sum)
  select g.room, g.seq, g.mark, g.at, g.tag, g.author,
    roomlog.sum((select m.secret from roomlog.meta m), coalesce(w.sent, roomlog.fingerprint(g.type, g.data)))
  from gone g left join sent w on w.tag = g.tag and w.author = g.author
  where g.at > clock_timestamp() - p_tags;
  return upto - r.floor;
end
$$;
-- +goose StatementEnd

-- delete_room ends a room that exists and says whether it did. Its row goes on as the next generation, under
-- an id that no event has; what has the old one is left over, and swept.
-- +goose StatementBegin
create function roomlog.delete_room(p_room text) returns boolean language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  r roomlog.rooms%rowtype;
begin
  select * into r from roomlog.rooms x where x.name = p_room for update;
  if not found or r.created_at is null then
    return false;
  end if;
  update roomlog.rooms x set id = default, generation = x.generation + 1, head = 0, head_mark = 0,
    floor = 1, floor_mark = 0, created_at = null, created_by = null
  where x.id = r.id;
  insert into roomlog.leftovers (room) values (r.id);
  update roomlog.creators c set rooms = c.rooms - 1
  where c.author = r.created_by and c.kind = split_part(p_room, ':', 1);
  return true;
end
$$;
-- +goose StatementEnd
