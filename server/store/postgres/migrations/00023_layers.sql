-- +goose Up

-- Pages pass over events of the type doc as they do over those of the type state, so the runs of a room are those of neither type.
-- state_rooms has rooms that have had either, newest the newest event of either. Events of the type doc from before this are in runs: pages list them.

-- pass_over takes the events of a batch that are stored now and that pages pass over out of the runs; arguments are as of apply_changes.
-- +goose StatementBegin
create function roomlog.pass_over(
  p_ids bigint[], p_heads bigint[], p_rooms integer[], p_types text[], p_numbers integer[]
) returns void language plpgsql volatile
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  rooms bigint[];
  seqs  bigint[];
begin
  select array_agg(p_ids[s.room]), array_agg(p_heads[s.room] + s.number) into rooms, seqs
  from unnest(p_rooms, p_types, p_numbers) as s (room, type, number) where s.number is not null and s.type in ('state', 'doc');
  insert into roomlog.log_runs (room, last, first)
  select x.room, x.seq - 1, x.was + 1
  from (
    select s.room, s.seq, coalesce(lag(s.seq) over (partition by s.room order by s.seq),
      (select r.newest from roomlog.state_rooms r where r.room = s.room), 0) as was
    from unnest(rooms, seqs) as s (room, seq)) x
  where x.seq > x.was + 1;
  insert into roomlog.state_rooms (room, newest, keys, bytes)
  select s.room, max(s.seq), 0, 0 from unnest(rooms, seqs) as s (room, seq) group by s.room
  on conflict (room) do update set newest = excluded.newest;
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
  if p_types && array['state', 'doc'] then
    perform roomlog.pass_over(p_ids, p_heads, p_rooms, p_types, p_numbers);
  end if;
end
$$;
-- +goose StatementEnd

-- set_state leaves the runs to it.
-- +goose StatementBegin
do $do$
declare
  c   record;
  was text := pg_get_functiondef('roomlog.set_state(jsonb, bigint[], bigint[], integer[], text[], integer[], timestamptz)'::regprocedure);
begin
  for c in
    select * from (values
      ($old$    if c.seq > was.newest + 1 then
      insert into roomlog.log_runs (room, last, first) values (c.room, c.seq - 1, was.newest + 1);
    end if;
$old$, ''),
      ('set newest = c.seq, keys = ', 'set keys = ')) as x (old, new)
  loop
    if position(c.old in was) = 0 then
      raise exception 'set_state is not as it was';
    end if;
    was := replace(was, c.old, c.new);
  end loop;
  execute was;
end
$do$;
-- +goose StatementEnd
