-- +goose Up

-- Messages that change, and members. It is long because functions of before that have to know of them are here once more, whole.
--
-- New columns have constant defaults, so that no table is rewritten; what was stored before has the ordinal 0, and nothing
-- of it is unread.
alter table roomlog.events
  add column ordinal bigint not null default 0, -- how many messages the room had, up to this event and with it
  add column target  bigint,                    -- seq of the message that it edits, deletes or reacts to
  add column gone    bigint;                    -- seq of the delete that made its data null
alter table roomlog.rooms add column messages bigint not null default 0; -- the ordinal of the head

-- The edits of a message, which go with it.
create index events_edits on roomlog.events (room, target) where type = 'edit' and target is not null;
-- A user's own messages behind a mark, which are not unread.
create index events_own on roomlog.events (room, author, seq) where type = 'message' and ordinal > 0;

-- The last edit of each message that was edited.
create table roomlog.edits (
  room     bigint      not null,         -- rooms.id, as everywhere below
  seq      bigint      not null,         -- of the message
  edit_seq bigint      not null,
  at       timestamptz not null,
  who      text collate "C" not null,
  data     text collate "C" not null,    -- what stands in place of the message's
  primary key (room, seq)
);

create table roomlog.reactions (
  room   bigint not null,
  seq    bigint not null,                -- of the message
  emoji  text collate "C" not null,
  who    text collate "C" not null,
  at_seq bigint not null,                -- of the event that added it
  primary key (room, seq, emoji, who)
);

-- What is left of a message that was deleted, and of each edit of it: who did it, and enough to answer a repeat.
create table roomlog.redactions (
  room    bigint      not null,
  seq     bigint      not null,
  ordinal bigint      not null,          -- of the message; 0: it is an edit, or from before
  author  text collate "C" not null,     -- of what was deleted
  by_seq  bigint      not null,          -- of the delete
  who     text collate "C" not null,     -- its author
  at      timestamptz not null,
  sum     bytea       not null,          -- roomlog.sum of what the author sent
  primary key (room, seq)
);

create table roomlog.mentions (
  room    bigint not null,
  who     text collate "C" not null,
  seq     bigint not null,
  ordinal bigint not null,
  primary key (room, who, seq)
);
create index mentions_seq on roomlog.mentions (room, seq);

create table roomlog.members (
  room      bigint      not null,
  who       text collate "C" not null,
  role      text collate "C" not null,
  since_seq bigint      not null,        -- the event that made them one
  at        timestamptz not null,        -- of that event
  by        text collate "C" not null,   -- author of the last that changed them
  primary key (room, who)
);
create index members_who on roomlog.members (who, room);

-- Of what was deleted before it was pruned, a repeat is told so still.
alter table roomlog.tags
  add column target   bigint,
  add column gone     bigint,            -- seq of the delete; null: it was not deleted
  add column gone_who text collate "C",
  add column gone_at  timestamptz;

-- judge_changes says which of the changes in p_changes (see append) are refused, and which messages the others are about:
-- targets has an element per send of the batch: the seq of a message that is stored, or the negated place of one that
-- this batch is about to store. p_others are the sends that will not be. What has the tag of a change before it in the batch, which
-- is not refused, follows that; seqs then has its place, else 0. The first three are null where nothing is refused.
-- +goose StatementBegin
create function roomlog.judge_changes(
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
  target  bigint;
  author  text;
  outcome text;
begin
  targets := array_fill(null::bigint, array[cardinality(p_rooms)]);
  for c in
    select n, x.target, x.tag, x.own, x.others, x.within, x.own is not null as changes, y.again, p_rooms[n] as room, p_authors[n] as author
    from jsonb_to_recordset(p_changes->'changes') as x (n integer, target bigint, tag uuid, own boolean, others boolean, within bigint)
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
    outcome := case
      when target is null or case when m is null then e.type else p_types[m] end <> 'message'
        or e.gone is not null or c.room || ':' || target = any (dead) then 'unknown_target'
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
      if p_types[c.n] = 'delete' then
        dead := dead || (c.room || ':' || target);
      end if;
    end if;
  end loop;
end
$$;
-- +goose StatementEnd

-- redact takes away what a message and its edits said, because of the delete that is stored as p_by.
-- +goose StatementBegin
create function roomlog.redact(p_room bigint, p_seq bigint, p_by bigint, p_who text, p_at timestamptz) returns void language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  dead bigint[] := p_seq || array(select e.seq from roomlog.events e where e.room = p_room and e.target = p_seq and e.type = 'edit');
  rows tid[]; -- of dead: each is a probe of the key, where a list of seqs could become a scan of the room
begin
  select array_agg(e.ctid) into rows from unnest(dead) as s (seq)
  cross join lateral (select x.ctid from roomlog.events x where x.room = p_room and x.seq = s.seq limit 1) e;

  insert into roomlog.redactions (room, seq, ordinal, author, by_seq, who, at, sum)
  select e.room, e.seq, case when e.type = 'message' then e.ordinal else 0 end, e.author, p_by, p_who, p_at,
    roomlog.sum((select m.secret from roomlog.meta m), coalesce((
      select w.sent from roomlog.rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author),
      roomlog.fingerprint(e.type, e.data)))
  from roomlog.events e where e.ctid = any (rows);
  delete from roomlog.rewrites x where x.ctid = any (array(
    select w.ctid from roomlog.events e cross join lateral (
      select y.ctid from roomlog.rewrites y where y.tag = e.tag and y.room = e.room and y.author = e.author limit 1) w
    where e.ctid = any (rows)));
  update roomlog.events e set data = 'null', gone = p_by where e.ctid = any (rows);
  delete from roomlog.edits x where x.room = p_room and x.seq = p_seq;
  delete from roomlog.reactions x where x.room = p_room and x.seq = p_seq;
  delete from roomlog.mentions x where x.room = p_room and x.seq = p_seq;
end
$$;
-- +goose StatementEnd

-- apply_changes does what the events of a batch that are stored now do: p_numbers and p_targets have an element for
-- each send, its place behind the head of its room (null: it is not stored) and the message that it changes.
-- +goose StatementBegin
create function roomlog.apply_changes(
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

-- append as in migration 6, and besides: it keeps ordinals, and p_changes says what events do beside being stored: null,
-- nothing, or an object of lists, whose n are places of sends. changes: {n, target or tag, own, others, within (µs), value
-- (the new data, or the emoji), remove}; members: {n, who, role (empty: none)}; mentions: {n, who}; again: {n}, the sends whose
-- room, tag and author are those of a change before them in the batch.
--
-- A change that is refused has the outcome unknown_target, not_yours or too_late, and is not stored. Nor does one make a room.
-- targets has the message that each send changes, also one that had been stored before; null where p_changes is.
-- +goose StatementBegin
create function roomlog.append(
  p_names text[], p_counts integer[],
  p_rooms integer[], p_places integer[], p_authors text[], p_tags uuid[], p_types text[], p_datas text[],
  p_repeats boolean[], p_limits integer[], p_sent bytea[], p_create boolean, p_wait integer, p_changes jsonb,
  out epoch text, out mark bigint, out at timestamptz,
  out generations integer[], out heads bigint[], out marks bigint[], out floors bigint[], out floor_marks bigint[],
  out added integer[],
  out others integer[], out outcomes text[], out seqs bigint[], out other_marks bigint[], out ats timestamptz[],
  out targets bigint[]
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  names    text[] := p_names;      -- null: it is held
  got      text[];                 -- those that were locked
  ids      bigint[];
  places   tid[];                  -- of the rooms' rows
  messages bigint[];               -- of each room, before
  numbers  integer[] := p_places;  -- of each send among those of its room that are stored; null: it is not
  ordinals integer[];              -- how many messages of its room are stored up to each send and with it
  said     integer[];              -- how many were added to each room
  idle     boolean[] := p_repeats; -- the sends that make no room
  absent   boolean;
  made     text[];                 -- those that had no row
  busy     integer[];
  refused  integer[];
  changed  record;
  moved    integer;
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
    array_agg(x.floor), array_agg(x.floor_mark), array_agg(x.messages), bool_or(x.created_at is null)
  into got, ids, places, generations, heads, marks, floors, floor_marks, messages, absent
  from (
    select r.name, r.id, r.ctid, r.generation, r.head, r.head_mark, r.floor, r.floor_mark, r.messages, r.created_at
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
      array_agg(coalesce(l.floor, 0) order by s.n), array_agg(coalesce(l.floor_mark, 0) order by s.n),
      array_agg(coalesce(l.messages, 0) order by s.n)
    into names, ids, places, generations, heads, marks, floors, floor_marks, messages
    from unnest(p_names) with ordinality as s (name, n)
    left join unnest(got, ids, places, generations, heads, marks, floors, floor_marks, messages)
      as l (name, id, place, generation, head, mark, floor, floor_mark, messages) on l.name = s.name;
  end if;

  if absent then
    if p_changes is not null then
      select array_agg(coalesce(p_repeats[s.n], false) or c.n is not null order by s.n) into idle
      from generate_series(1, cardinality(p_rooms)) as s (n)
      left join jsonb_to_recordset(p_changes->'changes') as c (n integer) on c.n = s.n;
    end if;
    busy := roomlog.lock_made(1919708008, array(
      select roomlog.lock_of_creator(s.author, split_part(r.name, ':', 1))
      from unnest(p_rooms, p_authors, idle) as s (room, author, repeat)
      join roomlog.rooms r on r.name = names[s.room] and r.created_at is null
      where s.repeat is not true), p_wait is not null);
    if busy <> '{}' then
      select array_agg(case when s.n <> all (h.rooms) then s.name end order by s.n) into names
      from unnest(names) with ordinality as s (name, n), lateral (
        select array(
          select c.room from unnest(p_rooms, p_authors, idle) as c (room, author, repeat)
          join roomlog.rooms r on r.name = names[c.room] and r.created_at is null
          where c.repeat is not true and roomlog.lock_of_creator(c.author, split_part(r.name, ':', 1)) = any (busy)) as rooms) h;
    end if;
    select array_agg(names[s.room] order by s.n) from unnest(p_rooms) with ordinality as s (room, n) into outcomes;
    refused := roomlog.create_rooms(outcomes, p_authors,
      coalesce(idle, array_fill(false, array[cardinality(p_rooms)])), p_limits);
    outcomes := null;
    -- A row that was made for nothing: only this transaction has seen it.
    delete from roomlog.rooms r where r.name = any (p_names) and r.created_at is null and r.generation = 0;
    select array_agg(r.id order by s.n), array_agg(r.ctid order by s.n), array_agg(coalesce(r.generation, case when s.name is null then -2 else -1 end) order by s.n),
      array_agg(coalesce(r.head, 0) order by s.n), array_agg(coalesce(r.head_mark, 0) order by s.n),
      array_agg(coalesce(r.floor, 0) order by s.n), array_agg(coalesce(r.floor_mark, 0) order by s.n),
      array_agg(coalesce(r.messages, 0) order by s.n)
    into ids, places, generations, heads, marks, floors, floor_marks, messages
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
      array_agg(case when e.type = p_types[s.n] and e.data = p_datas[s.n] and e.gone is null then 'duplicate' else 'tag_conflict' end) as outcomes,
      array_agg(e.seq) as seqs, array_agg(e.mark) as marks, array_agg(e.at) as ats
    from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
    cross join lateral (
      select x.seq, x.mark, x.at, x.type, x.data, x.gone
      from roomlog.events x where x.tag = s.tag and x.room = ids[s.room] and x.author = s.author limit 1) e
  ) old;

  if 1 < any (floors) then -- some were pruned
    select others || array_agg(s.n::integer), outcomes || array_agg(case when t.sum = roomlog.sum(
        (select m.secret from roomlog.meta m), roomlog.fingerprint(p_types[s.n], p_datas[s.n])) and t.gone is null then 'duplicate' else 'tag_conflict' end),
      seqs || array_agg(t.seq), other_marks || array_agg(t.mark), ats || array_agg(t.at)
    into others, outcomes, seqs, other_marks, ats
    from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
    cross join lateral (
      select x.seq, x.mark, x.at, x.sum, x.gone
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

  if p_changes is not null then
    changed := roomlog.judge_changes(p_changes, ids, heads, p_rooms, p_authors, p_tags, p_types, others, at);
    if changed.refused is not null then
      others := others || changed.refused;
      outcomes := outcomes || changed.outcomes;
      seqs := seqs || changed.seqs;
      other_marks := other_marks || array_fill(0::bigint, array[cardinality(changed.refused)]);
      ats := ats || array_fill(at, array[cardinality(changed.refused)]);
    end if;
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

  if 'message' = all (p_types) then
    ordinals := numbers;
    said := added;
  else
    select array_agg(s.ordinal order by s.n) into ordinals
    from (
      select q.n, count(*) filter (where q.type = 'message' and q.number is not null) over (partition by q.room order by q.n)::integer as ordinal
      from unnest(p_rooms, p_types, numbers) with ordinality as q (room, type, number, n)) s;
    select array_agg(coalesce(s.said, 0) order by g.room) into said
    from generate_series(1, cardinality(p_names)) as g (room) left join (
      select q.room, max(q.ordinal) as said from unnest(p_rooms, ordinals) as q (room, ordinal) group by 1) s on s.room = g.room;
  end if;
  if p_changes is not null then
    select array_agg(case when s.target < 0 then heads[s.room] + numbers[-s.target] else s.target end order by s.n) into targets
    from unnest(p_rooms, changed.targets) with ordinality as s (room, target, n);
  end if;

  insert into roomlog.events (room, seq, mark, at, tag, type, author, data, ordinal, target)
  select ids[s.room], heads[s.room] + numbers[s.n], mark, at, s.tag, s.type, s.author, s.data, messages[s.room] + ordinals[s.n], targets[s.n]
  from unnest(p_rooms, p_tags, p_types, p_authors, p_datas) with ordinality as s (room, tag, type, author, data, n)
  where numbers[s.n] is not null;

  if p_sent is not null then
    insert into roomlog.rewrites (room, author, tag, sent)
    select ids[s.room], s.author, s.tag, s.sent
    from unnest(p_rooms, p_authors, p_tags, p_sent) with ordinality as s (room, author, tag, sent, n)
    where numbers[s.n] is not null and s.sent is not null
    on conflict (tag, room, author) do update set sent = excluded.sent;
  end if;

  if p_changes is not null then
    perform roomlog.apply_changes(p_changes, ids, heads, p_rooms, p_authors, p_types, numbers, targets, at);
    -- Those that were stored before say what they changed then.
    select array_agg(coalesce(s.target, (
        select x.target from roomlog.events x where s.outcome = 'duplicate' and x.room = ids[s.room] and x.seq = s.seq), (
        select x.target from roomlog.tags x where s.outcome = 'duplicate' and x.room = ids[s.room] and x.seq = s.seq)) order by s.n)
    into targets
    from (
      select q.*, o.outcome, o.seq from unnest(p_rooms, targets) with ordinality as q (room, target, n)
      left join unnest(others, outcomes, seqs) as o (n, outcome, seq) on o.n = q.n) s;
  end if;

  update roomlog.rooms r set head = r.head + g.added, head_mark = mark, messages = r.messages + g.said
  from unnest(places, added, said) as g (place, added, said)
  where r.ctid = g.place and g.added > 0;
  get diagnostics moved = row_count;
  if moved <> (select count(*) from unnest(added) as g (added) where g.added > 0) then
    raise exception 'a room that is locked has moved' using errcode = 'serialization_failure';
  end if;
end
$$;
-- +goose StatementEnd

-- For nodes of before, which run on beside those that have made this.
create or replace function roomlog.append(
  p_names text[], p_counts integer[],
  p_rooms integer[], p_places integer[], p_authors text[], p_tags uuid[], p_types text[], p_datas text[],
  p_repeats boolean[], p_limits integer[], p_sent bytea[], p_create boolean, p_wait integer,
  out epoch text, out mark bigint, out at timestamptz,
  out generations integer[], out heads bigint[], out marks bigint[], out floors bigint[], out floor_marks bigint[],
  out added integer[],
  out others integer[], out outcomes text[], out seqs bigint[], out other_marks bigint[], out ats timestamptz[]
) language sql volatile as $$
select a.epoch, a.mark, a.at, a.generations, a.heads, a.marks, a.floors, a.floor_marks, a.added,
  a.others, a.outcomes, a.seqs, a.other_marks, a.ats
from roomlog.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, null) a
$$;

-- What migration 3 made. What is pruned takes edits, reactions and mentions with it.
-- +goose StatementBegin
create or replace function roomlog.prune(p_room text, p_age interval, p_events bigint, p_tags interval, p_limit integer)
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
  return upto - r.floor;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function roomlog.delete_room(p_room text) returns boolean language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  r roomlog.rooms%rowtype;
begin
  select * into r from roomlog.rooms x where x.name = p_room for update;
  if not found or r.created_at is null then
    return false;
  end if;
  update roomlog.rooms x set id = default, generation = x.generation + 1, head = 0, head_mark = 0, messages = 0,
    floor = 1, floor_mark = 0, created_at = null, created_by = null
  where x.id = r.id;
  insert into roomlog.leftovers (room) values (r.id);
  update roomlog.creators c set rooms = c.rooms - 1
  where c.author = r.created_by and c.kind = split_part(p_room, ':', 1);
  return true;
end
$$;
-- +goose StatementEnd

-- What migrations 8 and 10 made: appends from SQL.
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
  end;
end
$$;
-- +goose StatementEnd

-- field gives a member of a JSON object as it is written, null where there is none or it is no object. The parser would look
-- at escapes, which may be halves of a character; so they are escaped themselves meanwhile.
create function roomlog.field(p_json text, p_name text) returns text language sql immutable
set search_path = pg_catalog, pg_temp
return replace(replace(replace(
  (replace(replace(replace(p_json, repeat(chr(92), 2), chr(1)), chr(92) || 'u', repeat(chr(92), 2) || 'u'), chr(1), repeat(chr(92), 4))::json -> p_name)::text,
  repeat(chr(92), 4), chr(1)), repeat(chr(92), 2) || 'u', chr(92) || 'u'), chr(1), repeat(chr(92), 2));

-- text_of is what a JSON string says; null: it is none, or is empty, longer than so many bytes, has control characters, or
-- cannot be stored.
-- +goose StatementBegin
create function roomlog.text_of(p_json text, p_bytes integer) returns text language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  said text;
begin
  if left(p_json, 1) = '"' then
    said := p_json::json #>> '{}';
  end if;
  return case when octet_length(said) between 1 and p_bytes
    and said !~ ('[' || chr(1) || '-' || chr(31) || chr(127) || '-' || chr(159) || ']') then said end;
exception when data_exception then
  return null;
end
$$;
-- +goose StatementEnd

-- mentions_of are the users whom the data of a message names, each once.
-- +goose StatementBegin
create function roomlog.mentions_of(p_json text) returns text[] language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  list  text;
  named text[];
begin
  if position('"mentions"' in p_json) = 0 then -- most messages; they are not parsed for it
    return null;
  end if;
  list := roomlog.field(p_json, 'mentions');
  if list is null or list = 'null' then
    return null;
  elsif left(list, 1) = '[' then
    select array_agg(roomlog.text_of(x.v::text, 128) order by x.n) into named from json_array_elements(list::json) with ordinality as x (v, n);
  end if;
  if left(list, 1) <> '[' or cardinality(named) > 50
    or exists (select from unnest(named) as x (who) where x.who is null or x.who in ('.', '..') or position(chr(65533) in x.who) > 0)
  then
    perform roomlog.refuse('bad_data', 'data', 'The mentions of a message are a list of at most 50 users.');
  end if;
  return array(select distinct x.who from unnest(named) as x (who));
end
$$;
-- +goose StatementEnd

-- changes_of reads what an event does beside being stored from its data, as p_changes of the other append. The application
-- may change every message, at any time.
-- +goose StatementBegin
create function roomlog.changes_of(p_type text, p_json text) returns jsonb language plpgsql stable
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
  end if;
  return null;
end
$$;
-- +goose StatementEnd

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
