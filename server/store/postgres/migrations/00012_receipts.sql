-- +goose Up

-- How far users have got in rooms. Marks only rise. Pages stay a part empty, for the updates that follow.
create table roomlog.receipts (
  room         bigint not null,                  -- rooms.id
  who          text collate "C" not null,
  delivered    bigint not null,
  read         bigint not null,
  read_ordinal bigint not null,                  -- events.ordinal of read
  version      bigint not null,                  -- of the room's receipts when this one changed
  at           timestamptz not null,
  primary key (room, who)
) with (fillfactor = 80);
create unique index receipts_version on roomlog.receipts (room, version);

-- How often the receipts of a room have changed. Who marks locks this row, and never that of the room, which appends lock.
create table roomlog.receipt_versions (
  room    bigint primary key,                    -- rooms.id
  version bigint not null default 0
) with (fillfactor = 50);

-- mark raises the marks of users in rooms, each pair once, rooms that do not exist left out. A row per pair comes back, in order.
-- The rooms' rows are read, not locked: a head that is read is durable, and never falls.
--
-- A room may be deleted meanwhile. Its deletion takes the lock on its versions: either it waits, and its sweep finds what is stored here;
-- or this waits, and then finds that the room has another id.
-- +goose StatementBegin
create function roomlog.mark(p_names text[], p_rooms integer[], p_users text[], p_delivered bigint[], p_read bigint[])
returns table (n integer, epoch text, before bigint, after bigint, delivered bigint, read bigint, version bigint, at timestamptz)
language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  ids      bigint[];
  now_ids  bigint[];
  versions bigint[];
begin
  select array_agg(r.id order by s.n) into ids
  from unnest(p_names) with ordinality as s (name, n)
  left join roomlog.rooms r on r.name = s.name and r.head > 0;

  insert into roomlog.receipt_versions (room)
  select i.id from unnest(ids) as i (id)
  where i.id is not null and not exists (select from roomlog.receipt_versions v where v.room = i.id)
  order by 1 on conflict do nothing;

  perform from roomlog.receipt_versions v where v.room = any (ids) order by v.room for update;

  -- A statement of its own, so that its snapshot holds what the last holder of the locks committed.
  select array_agg(r.id order by s.n), array_agg(coalesce(v.version, 0) order by s.n) into now_ids, versions
  from unnest(p_names, ids) with ordinality as s (name, id, n)
  left join roomlog.rooms r on r.name = s.name and r.id = s.id
  left join roomlog.receipt_versions v on v.room = s.id;
  if now_ids is distinct from ids then
    delete from roomlog.receipt_versions v
    where v.room = any (array(select i.id from unnest(ids, now_ids) as i (id, now_id) where i.now_id is null));
  end if;

  return query
  with asked as materialized (
    select s.n::integer as n, s.room, now_ids[s.room] as id, s.who, s.delivered, s.read, r.head,
      c.delivered as was_delivered, c.read as was_read, c.version as was_version, c.at as was_at
    from unnest(p_rooms, p_users, p_delivered, p_read) with ordinality as s (room, who, delivered, read, n)
    left join roomlog.rooms r on r.id = now_ids[s.room]
    left join roomlog.receipts c on c.room = now_ids[s.room] and c.who = s.who
  ), raised as materialized (
    select a.*,
      greatest(coalesce(a.was_read, 0), least(a.read, a.head)) as new_read,
      greatest(coalesce(a.was_delivered, 0), least(greatest(a.delivered, a.read), a.head)) as new_delivered
    from asked a where a.id is not null
  ), numbered as materialized (
    select r.*, row_number() over (partition by r.room order by r.n) as place
    from raised r
    where r.new_read > coalesce(r.was_read, 0) or r.new_delivered > coalesce(r.was_delivered, 0)
  ), stored as (
    insert into roomlog.receipts as c (room, who, delivered, read, read_ordinal, version, at)
    select s.id, s.who, s.new_delivered, s.new_read,
      coalesce(case when s.new_read > 0 then (select e.ordinal from roomlog.events e where e.room = s.id and e.seq = s.new_read) end, 0),
      versions[s.room] + s.place, clock_timestamp()
    from numbered s
    on conflict (room, who) do update set delivered = excluded.delivered, read = excluded.read,
      read_ordinal = case when excluded.read > c.read then excluded.read_ordinal else c.read_ordinal end,
      version = excluded.version, at = excluded.at
    returning c.room, c.who, c.version, c.at
  ), moved as (
    update roomlog.receipt_versions v set version = v.version + s.added
    from (select s.id, count(*) as added from numbered s group by s.id) s where v.room = s.id
  ), counted as (
    select s.room, count(*) as added from numbered s group by s.room
  )
  select a.n, m.epoch || case when g.generation > 0 then '-' || g.generation else '' end,
    coalesce(versions[a.room], 0), coalesce(versions[a.room], 0) + coalesce(c.added, 0),
    coalesce(r.new_delivered, 0), coalesce(r.new_read, 0), coalesce(s.version, a.was_version, 0), coalesce(s.at, a.was_at)
  from asked a cross join roomlog.meta m left join roomlog.rooms g on g.name = p_names[a.room]
  left join raised r on r.n = a.n
  left join stored s on s.room = a.id and s.who = a.who
  left join counted c on c.room = a.room
  order by a.n;
end
$$;
-- +goose StatementEnd

-- unread counts what a user has not read of a room, of which floor, head and messages are given: messages of others after p_base that are not
-- deleted, exact to 999. p_read is the user's mark and p_ordinal its ordinal. It never walks the log: the messages after the base are a
-- difference of ordinals, one's own and deleted ones are counted by their indexes, first among the newest 4,096 events, which
-- mostly decides. What was pruned, and what was stored before messages had ordinals, is not unread.
-- +goose StatementBegin
create function roomlog.unread(
  p_who text, p_room bigint, p_floor bigint, p_head bigint, p_messages bigint, p_base bigint, p_read bigint, p_ordinal bigint,
  out unread integer, out more boolean, out first_unread bigint, out mentions integer
) language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set plan_cache_mode = force_generic_plan
as $$
declare
  base   bigint := greatest(p_base, p_floor - 1);
  low    bigint := p_head - 4096;
  before bigint; -- messages up to low
  found  bigint;
begin
  unread := 0;
  more := false;
  first_unread := 0;
  mentions := 0;
  if base >= p_head or p_messages = 0 then
    return;
  end if;
  loop
    low := greatest(low, base);
    if low = 0 then
      before := 0;
    elsif low < p_floor then
      before := (select greatest(e.ordinal - (e.type = 'message')::integer, 0) from roomlog.events e where e.room = p_room and e.seq = p_floor);
    elsif low = p_read then
      before := p_ordinal;
    else
      before := (select e.ordinal from roomlog.events e where e.room = p_room and e.seq = low);
    end if;
    found := p_messages - before
      - (select count(*) from roomlog.events e where e.room = p_room and e.author = p_who and e.seq > low and e.type = 'message' and e.ordinal > 0)
      - (select count(*) from roomlog.redactions d where d.room = p_room and d.seq > low and d.ordinal > 0 and d.author <> p_who);
    exit when found > 999 or low = base;
    low := base;
  end loop;
  if found is null or found <= 0 then
    return;
  end if;
  unread := least(found, 999);
  more := found > 999;
  first_unread := coalesce((
    select e.seq from roomlog.events e
    where e.room = p_room and e.seq > base and e.type = 'message' and -e.ordinal < 0 and e.author <> p_who and e.gone is null
    order by e.seq limit 1), 0); -- negated, so that it is found by the key: one's own index holds all messages, and in another order
  mentions := (select count(*) from (
    select from roomlog.mentions m cross join lateral ( -- limited to one it is a probe; a join could begin with all events
      select from roomlog.events e where e.room = m.room and e.seq = m.seq and e.author <> p_who and e.gone is null limit 1) e
    where m.room = p_room and m.who = p_who and m.seq > base limit 999) x);
end
$$;
-- +goose StatementEnd
