-- +goose Up

-- One row: which numbering this database is. A tool that restores a backup draws a new epoch.
create table roomlog.meta (
  one        boolean primary key default true check (one),
  epoch      text not null,
  created_at timestamptz not null default clock_timestamp()
);
insert into roomlog.meta (epoch) values (left(replace(gen_random_uuid()::text, '-', ''), 12));

-- A row is never deleted: a deleted room leaves its next generation behind. Marks are 1 to 2^32-1; 0 is
-- none. Pages stay half empty, so that moving a head never touches an index (a HOT update).
create table roomlog.rooms (
  id         bigint generated always as identity primary key,
  head       bigint  not null default 0,
  head_mark  bigint  not null default 0,
  floor      bigint  not null default 1,
  floor_mark bigint  not null default 0, -- the mark of seq floor - 1
  generation integer not null default 0,
  name       text collate "C" not null unique
) with (fillfactor = 50);

create table roomlog.events (
  room   bigint      not null,           -- rooms.id; no foreign key, whose check would lock the room again
  seq    bigint      not null,
  mark   bigint      not null,
  at     timestamptz not null,
  tag    uuid        not null,
  type   text collate "C" not null,
  author text collate "C" not null,
  data   text collate "C" not null,      -- not json: it is given back byte by byte
  primary key (room, seq)
);

-- The tag leads: tags of one time (UUIDv7) are neighbours, so a batch over many rooms writes a few
-- pages of this index, not one per room.
create unique index events_tag on roomlog.events (tag, room, author);

-- append stores a batch of sends and answers each: the one place where seqs are made. Any backend may
-- call it inside a transaction of its own, in read committed; the rooms stay locked until that ends.
--
-- The arrays have one element per send; p_repeats asks only for the first result of a tag. A row per
-- send comes back, in order. outcome: stored, duplicate (seq, mark and at are the first result's),
-- tag_conflict (the tag is that of another event) or not_stored (a repeat of nothing). On the first row
-- of each room that exists, epoch to floor_mark say what the append did to it; elsewhere they are null.
--
-- Callers give valid ids, tags, types and data, and the author that they have authenticated. Callers
-- that send several batches at once need no order among them: rooms are locked in order of their names.
--
-- The settings are part of the algorithm: a plan made while the tables were empty must not scan them
-- when they are full, and compiling one costs more than running it.
-- +goose StatementBegin
create function roomlog.append(
  p_rooms text[], p_authors text[], p_tags uuid[], p_types text[], p_datas text[], p_repeats boolean[]
) returns table (
  send integer, outcome text, seq bigint, mark bigint, at timestamptz,
  epoch text, before bigint, before_mark bigint, head bigint, head_mark bigint, floor bigint, floor_mark bigint
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  locked_at timestamptz;
  seed      bigint;
begin
  -- Rooms are made before any is locked, each step in order of names: the other way round, two batches
  -- could each hold a room that the other is about to make or lock.
  insert into roomlog.rooms (name)
  select s.name from (select distinct s.name collate "C" as name from unnest(p_rooms, p_repeats) as s (name, repeat) where not s.repeat) s
  where not exists (select from roomlog.rooms r where r.name = s.name)
  order by 1
  on conflict do nothing;

  perform from roomlog.rooms r where r.name = any (p_rooms) order by r.name for update;

  -- now() is when the transaction began, before the wait for the lock: later seqs would seem earlier.
  locked_at := clock_timestamp();
  seed := (random() * 4503599627370496)::bigint;

  -- A statement of its own, so that its snapshot holds what the last holder of the locks committed.
  return query
  with known as materialized (
    -- Once for each room, not for each send: under a snapshot that is held, a busy room has thousands of dead
    -- rows, and every probe walks them.
    select * from roomlog.rooms r where r.name = any (p_rooms)
  ), found as materialized (
    -- The lateral lookup, limited to one, is a probe of the index per send; a join could become a scan.
    select s.n::integer as n, s.author, s.tag, s.type, s.data, s.repeat,
      r.id as room, r.generation, r.head, r.head_mark, r.floor, r.floor_mark,
      old.seq as old_seq, old.mark as old_mark, old.at as old_at, old.same
    from unnest(p_rooms, p_authors, p_tags, p_types, p_datas, p_repeats) with ordinality
      as s (name, author, tag, type, data, repeat, n)
    left join known r on r.name = s.name
    left join lateral (
      select e.seq, e.mark, e.at, e.type = s.type and e.data = s.data as same
      from roomlog.events e where e.tag = s.tag and e.room = r.id and e.author = s.author limit 1
    ) old on true
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
    g.epoch, g.before, g.before_mark, g.head, g.head_mark, g.floor, g.floor_mark
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
