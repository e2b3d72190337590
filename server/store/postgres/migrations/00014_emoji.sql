-- +goose Up

-- A message has at most 20 different emoji (room.MaxEmojiKinds), or whoever shows it would have to show as many as somebody made up.
-- judge_changes as in migration 11, and besides: a reaction that would add one more has the outcome limit_exceeded.
-- +goose StatementBegin
create or replace function roomlog.judge_changes(
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
