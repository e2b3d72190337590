-- +goose Up

-- append stores a batch of sends: the one place where seqs are made. It may be called inside a transaction of
-- one's own, in read committed; the rooms stay locked until that ends.
--
-- It does what the append of the migrations before it did, in fewer and narrower steps: no row that carries data
-- goes through a sort or a window, a room's row is found once and then moved where it was found (under a snapshot
-- that somebody holds, a busy room has thousands of dead rows, and every probe walks them), and the answer is one
-- row, which says nothing of the sends that were stored but how many they were.
--
-- p_names are the rooms, each once, in order of their names, and p_counts how many sends each has. The arrays after
-- them have one element per send, in the order in which they are to stand in the log: p_rooms is its room's place
-- in p_names, p_places its own among the sends of that room, both from 1. No two sends have the same room, tag and
-- author, but for repeats: p_repeats asks only for the first result of a tag. p_limits is how many rooms of the
-- kind a send's author may have created (0: any number), p_sent the roomlog.fingerprint of what was sent where
-- something else is stored. These three may be null: none is, has, was.
--
-- Callers give valid ids, tags, types and data, and the author that they have authenticated.
--
-- p_wait is for how many milliseconds at most it waits for each room that another transaction holds (0: as many as
-- the session's lock_timeout says), and fails then; null: it does not wait. A room that it did not get is held:
-- nothing of it is judged or stored, and the others do not wait for it. So is one that does not exist and that
-- another transaction is making, or that would be made by an author of whom another transaction makes one.
--
-- Where a room has no row and p_create is not set, or one came or went while others were waited for, nothing is done
-- and heads is null: call again with it. Rows are made before any is locked, each step in order of names: the other
-- way round, two batches could each hold a room that the other is about to make or lock.
--
-- The answer has, for each room, what it was before: generation (-1: it neither exists nor was created, -2: it is
-- held; the rest is 0), head, floor and their marks, and how many events were added; and for each send that was not
-- stored (others, null where all were) its outcome: duplicate (with the first result's seq, mark and time), tag_conflict (the tag is
-- that of another event), not_stored (a repeat of nothing), limit_exceeded, held. The sends that were stored have the
-- seqs after the head, in order.
--
-- The settings are part of the algorithm: a plan made while the tables were empty must not scan them when they
-- are full, and compiling one costs more than running it.
drop function roomlog.append(text[], text[], uuid[], text[], text[], boolean[], integer[]);

-- What is being made has no row that others could find locked: to insert the same name would wait, with or without
-- "on conflict". So who makes rooms locks their names first, and then their creators, by numbers. Two names may
-- have one number: then one waits for the other, or is held, without need and for as long as a room is made.
create function roomlog.lock_of_room(name text) returns integer language sql immutable
return hashtext(name);

create function roomlog.lock_of_creator(author text, kind text) returns integer language sql immutable
return hashtext(kind || ':' || author);

-- lock_made locks numbers of a class (1919708007: rooms, 1919708008: creators) until the transaction ends, in their order. It gives those
-- that another transaction has, and waits for none; with p_wait it waits for each and gives none.
-- +goose StatementBegin
create function roomlog.lock_made(p_class integer, p_numbers integer[], p_wait boolean) returns integer[] language plpgsql volatile
as $$
declare
  n    integer;
  busy integer[] := '{}';
begin
  for n in select distinct x.n from unnest(p_numbers) as x (n) order by 1 loop
    if p_wait then
      perform pg_advisory_xact_lock(p_class, n);
    elsif not pg_try_advisory_xact_lock(p_class, n) then
      busy := busy || n;
    end if;
  end loop;
  return busy;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function roomlog.append(
  p_names text[], p_counts integer[],
  p_rooms integer[], p_places integer[], p_authors text[], p_tags uuid[], p_types text[], p_datas text[],
  p_repeats boolean[], p_limits integer[], p_sent bytea[], p_create boolean, p_wait integer,
  out epoch text, out mark bigint, out at timestamptz,
  out generations integer[], out heads bigint[], out marks bigint[], out floors bigint[], out floor_marks bigint[],
  out added integer[],
  out others integer[], out outcomes text[], out seqs bigint[], out other_marks bigint[], out ats timestamptz[]
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  names   text[] := p_names;     -- null: it is held
  got     text[];                -- those that were locked
  ids     bigint[];
  places  tid[];                 -- of the rooms' rows
  numbers integer[] := p_places; -- of each send among those of its room that are stored; null: it is not
  absent  boolean;
  made    text[];                -- those that had no row
  busy    integer[];
  refused integer[];
  moved   integer;
begin
  if p_wait > 0 then
    perform set_config('lock_timeout', p_wait::text, true);
  end if;

  if p_create then
    select array_agg(s.name order by s.name) into made from unnest(p_names) as s (name)
    where not exists (select from roomlog.rooms r where r.name = s.name);
    busy := roomlog.lock_made(1919708007, array(select roomlog.lock_of_room(s.name) from unnest(made) as s (name)), p_wait is not null);
    insert into roomlog.rooms (name)
    select s.name from unnest(made) with ordinality as s (name, n)
    where roomlog.lock_of_room(s.name) <> all (busy) order by s.n
    on conflict do nothing;
  end if;

  if p_wait is not null then
    perform from roomlog.rooms r where r.name = any (p_names) order by r.name for update;
  end if;

  select array_agg(x.name), array_agg(x.id), array_agg(x.ctid), array_agg(x.generation), array_agg(x.head), array_agg(x.head_mark),
    array_agg(x.floor), array_agg(x.floor_mark), bool_or(x.created_at is null)
  into got, ids, places, generations, heads, marks, floors, floor_marks, absent
  from (
    select r.name, r.id, r.ctid, r.generation, r.head, r.head_mark, r.floor, r.floor_mark, r.created_at
    from roomlog.rooms r where r.name = any (p_names) order by r.name for update skip locked) x;

  if cardinality(got) is distinct from cardinality(p_names) then
    if p_wait is not null or not p_create and exists (select from unnest(p_names) as s (name) where not exists (select from roomlog.rooms r where r.name = s.name)) then
      heads := null;
      return;
    end if;
    -- Some are held. From here on they have no names, so that nothing below finds them.
    select array_agg(l.name order by s.n), array_agg(l.id order by s.n), array_agg(l.place order by s.n),
      array_agg(coalesce(l.generation, -2) order by s.n),
      array_agg(coalesce(l.head, 0) order by s.n), array_agg(coalesce(l.mark, 0) order by s.n),
      array_agg(coalesce(l.floor, 0) order by s.n), array_agg(coalesce(l.floor_mark, 0) order by s.n)
    into names, ids, places, generations, heads, marks, floors, floor_marks
    from unnest(p_names) with ordinality as s (name, n)
    left join unnest(got, ids, places, generations, heads, marks, floors, floor_marks)
      as l (name, id, place, generation, head, mark, floor, floor_mark) on l.name = s.name;
  end if;

  if absent then
    busy := roomlog.lock_made(1919708008, array(
      select roomlog.lock_of_creator(s.author, split_part(r.name, ':', 1))
      from unnest(p_rooms, p_authors, p_repeats) as s (room, author, repeat)
      join roomlog.rooms r on r.name = names[s.room] and r.created_at is null
      where s.repeat is not true), p_wait is not null);
    if busy <> '{}' then
      select array_agg(case when s.n <> all (h.rooms) then s.name end order by s.n) into names
      from unnest(names) with ordinality as s (name, n), lateral (
        select array(
          select c.room from unnest(p_rooms, p_authors, p_repeats) as c (room, author, repeat)
          join roomlog.rooms r on r.name = names[c.room] and r.created_at is null
          where c.repeat is not true and roomlog.lock_of_creator(c.author, split_part(r.name, ':', 1)) = any (busy)) as rooms) h;
    end if;
    select array_agg(names[s.room] order by s.n) from unnest(p_rooms) with ordinality as s (room, n) into outcomes;
    refused := roomlog.create_rooms(outcomes, p_authors,
      coalesce(p_repeats, array_fill(false, array[cardinality(p_rooms)])), p_limits);
    outcomes := null;
    -- A row that was made for nothing: only this transaction has seen it.
    delete from roomlog.rooms r where r.name = any (p_names) and r.created_at is null and r.generation = 0;
    select array_agg(r.id order by s.n), array_agg(r.ctid order by s.n), array_agg(coalesce(r.generation, case when s.name is null then -2 else -1 end) order by s.n),
      array_agg(coalesce(r.head, 0) order by s.n), array_agg(coalesce(r.head_mark, 0) order by s.n),
      array_agg(coalesce(r.floor, 0) order by s.n), array_agg(coalesce(r.floor_mark, 0) order by s.n)
    into ids, places, generations, heads, marks, floors, floor_marks
    from unnest(names) with ordinality as s (name, n)
    left join roomlog.rooms r on r.name = s.name and r.created_at is not null;
  end if;

  -- now() is when the transaction began, before the wait for the locks: later seqs would seem earlier.
  at := clock_timestamp();
  mark := 1 + floor(random() * 4294967295)::bigint;
  added := p_counts;

  -- A statement of its own, so that its snapshot holds what the last holder of the locks committed. The lateral
  -- lookup, limited to one, is a probe of an index per send; a join could become a scan.
  select m.epoch, old.others, old.outcomes, old.seqs, old.marks, old.ats
  into epoch, others, outcomes, seqs, other_marks, ats
  from roomlog.meta m cross join (
    select array_agg(s.n::integer) as others,
      array_agg(case when e.type = p_types[s.n] and e.data = p_datas[s.n] then 'duplicate' else 'tag_conflict' end) as outcomes,
      array_agg(e.seq) as seqs, array_agg(e.mark) as marks, array_agg(e.at) as ats
    from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
    cross join lateral (
      select x.seq, x.mark, x.at, x.type, x.data
      from roomlog.events x where x.tag = s.tag and x.room = ids[s.room] and x.author = s.author limit 1) e
  ) old;

  if 1 < any (floors) then -- some were pruned
    select others || array_agg(s.n::integer), outcomes || array_agg(case when t.sum = roomlog.sum(
        (select m.secret from roomlog.meta m), roomlog.fingerprint(p_types[s.n], p_datas[s.n])) then 'duplicate' else 'tag_conflict' end),
      seqs || array_agg(t.seq), other_marks || array_agg(t.mark), ats || array_agg(t.at)
    into others, outcomes, seqs, other_marks, ats
    from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
    cross join lateral (
      select x.seq, x.mark, x.at, x.sum
      from roomlog.tags x where floors[s.room] > 1 and x.tag = s.tag and x.room = ids[s.room] and x.author = s.author limit 1) t
    where s.n <> all (coalesce(others, '{}'));
  end if;

  if p_repeats is not null or refused <> '{}' or -2 = any (generations) then
    select others || array_agg(s.n::integer), outcomes || array_agg(case
        when generations[s.room] = -2 then 'held' when s.n = any (refused) then 'limit_exceeded' else 'not_stored' end),
      seqs || array_agg(0::bigint), other_marks || array_agg(0::bigint), ats || array_agg(at)
    into others, outcomes, seqs, other_marks, ats
    from unnest(p_rooms) with ordinality as s (room, n)
    where (p_repeats[s.n] or s.n = any (refused) or generations[s.room] = -2) and s.n <> all (coalesce(others, '{}'));
  end if;

  if others is not null then
    select array_agg(case when s.stored then s.number end order by s.n) into numbers
    from (
      select q.n, q.stored, row_number() over (partition by q.room, q.stored order by q.n) as number
      from (select s.room, s.n, s.n <> all (others) as stored from unnest(p_rooms) with ordinality as s (room, n)) q) s;
    select array_agg(coalesce(s.added, 0) order by g.room) into added
    from generate_series(1, cardinality(p_names)) as g (room) left join (
      select s.room, count(*)::integer as added from unnest(p_rooms, numbers) as s (room, number)
      where s.number is not null group by 1) s on s.room = g.room;
  end if;

  insert into roomlog.events (room, seq, mark, at, tag, type, author, data)
  select ids[s.room], heads[s.room] + numbers[s.n], mark, at, s.tag, s.type, s.author, s.data
  from unnest(p_rooms, p_tags, p_types, p_authors, p_datas) with ordinality as s (room, tag, type, author, data, n)
  where numbers[s.n] is not null;

  if p_sent is not null then
    insert into roomlog.rewrites (room, author, tag, sent)
    select ids[s.room], s.author, s.tag, s.sent
    from unnest(p_rooms, p_authors, p_tags, p_sent) with ordinality as s (room, author, tag, sent, n)
    where numbers[s.n] is not null and s.sent is not null
    on conflict (tag, room, author) do update set sent = excluded.sent;
  end if;

  update roomlog.rooms r set head = r.head + g.added, head_mark = mark
  from unnest(places, added) as g (place, added)
  where r.ctid = g.place and g.added > 0;
  get diagnostics moved = row_count;
  if moved <> (select count(*) from unnest(added) as g (added) where g.added > 0) then
    raise exception 'a room that is locked has moved' using errcode = 'serialization_failure';
  end if;
end
$$;
-- +goose StatementEnd
