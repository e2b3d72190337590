-- +goose Up

-- An update that says of which document it is is stored only where its room has that one. p_changes has such sends under 'of': the event that
-- stored the first update of the document, by seq and mark, or where that was pruned its id among roomlog.docs. Both go with their room.

-- judge_docs gives the places of the sends whose documents their rooms do not have; arguments are as of judge_changes.
-- +goose StatementBegin
create function roomlog.judge_docs(
  p_changes jsonb, p_ids bigint[], p_rooms integer[], p_authors text[], p_tags uuid[], p_others integer[]
) returns integer[] language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  c       record;
  refused integer[];
begin
  for c in
    select x.*, p_rooms[x.n] as room, p_authors[x.n] as author, p_tags[x.n] as tag
    from jsonb_to_recordset(p_changes->'of') as x (n integer, name text, id text, seq bigint, mark bigint)
    where x.n <> all (coalesce(p_others, '{}')) order by x.n
  loop
    if exists (select from roomlog.events e where e.room = p_ids[c.room] and e.seq = c.seq and e.mark = c.mark and e.type = 'doc')
      or exists (select from roomlog.docs d where d.room = p_ids[c.room] and d.name = c.name and d.id = c.id)
    then
      continue;
    end if;
    if p_changes ? 'again' and exists (
      select from jsonb_to_recordset(p_changes->'again') as y (n integer) where y.n = c.n)
      and exists (select from unnest(p_rooms, p_tags, p_authors) with ordinality as s (room, tag, author, n)
        where s.tag = c.tag and s.room = c.room and s.author = c.author and s.n < c.n and s.n <> all (coalesce(p_others || refused, '{}')))
    then
      continue; -- it follows that one
    end if;
    refused := refused || c.n;
  end loop;
  return refused;
end
$$;
-- +goose StatementEnd

-- judge_changes: those first, since what is refused takes no seq, by which changes of the same batch name what they change.
-- +goose StatementBegin
create or replace function roomlog.judge_changes(
  p_changes jsonb, p_ids bigint[], p_heads bigint[], p_rooms integer[], p_authors text[], p_tags uuid[], p_types text[],
  p_others integer[], p_at timestamptz, out refused integer[], out outcomes text[], out seqs bigint[], out targets bigint[]
) language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  state record;
  docs  integer[];
begin
  if p_changes ? 'of' then
    docs := roomlog.judge_docs(p_changes, p_ids, p_rooms, p_authors, p_tags, p_others);
    p_others := p_others || docs;
  end if;
  if p_changes ? 'state' then
    select * into state from roomlog.judge_state(p_changes, p_ids, p_heads, p_rooms, p_authors, p_tags, p_others, p_at);
    select * into refused, outcomes, seqs, targets
    from roomlog.judge_messages(p_changes, p_ids, p_heads, p_rooms, p_authors, p_tags, p_types, p_others || state.refused, p_at);
    if state.refused is not null then
      refused := refused || state.refused;
      outcomes := outcomes || state.outcomes;
      seqs := seqs || array_fill(0::bigint, array[cardinality(state.refused)]);
    end if;
  else
    select * into refused, outcomes, seqs, targets
    from roomlog.judge_messages(p_changes, p_ids, p_heads, p_rooms, p_authors, p_tags, p_types, p_others, p_at);
  end if;
  if docs is not null then
    refused := refused || docs;
    outcomes := outcomes || array_fill('doc_replaced'::text, array[cardinality(docs)]);
    seqs := seqs || array_fill(0::bigint, array[cardinality(docs)]);
  end if;
end
$$;
-- +goose StatementEnd

-- append, in one place: a send of which it is said of which document it is makes no room, which would have none.
-- +goose StatementBegin
do $do$
declare
  was text := pg_get_functiondef('roomlog.append(text[], integer[], integer[], integer[], text[], uuid[], text[], text[], boolean[], integer[], bytea[], boolean, integer, jsonb)'::regprocedure);
  old constant text := $old$left join jsonb_to_recordset(p_changes->'changes') as c (n integer) on c.n = s.n;$old$;
begin
  if position(old in was) = 0 then
    raise exception 'append is not as it was';
  end if;
  execute replace(was, old, $new$left join (
        select x.n from jsonb_to_recordset(p_changes->'changes') as x (n integer)
        union select x.n from jsonb_to_recordset(p_changes->'of') as x (n integer)) c on c.n = s.n;$new$);
end
$do$;
-- +goose StatementEnd
