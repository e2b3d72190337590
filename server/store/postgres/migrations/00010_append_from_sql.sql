-- +goose Up

-- What migration 8 made, and what it left to those who call it: how durable the event is, for how long a session that does
-- nothing keeps a room, and who is kept out while the room is waited for.

-- admit refuses an author who is blocked, or banned from the room.
-- +goose StatementBegin
create function roomlog.admit(p_room text, p_author text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from roomlog.bans b where b.room = '' and b.who = p_author and (b.until is null or b.until > clock_timestamp())) then
    perform roomlog.refuse('revoked', 'author', 'The author is blocked.');
  elsif exists (select from roomlog.bans b where b.room = p_room and b.who = p_author and (b.until is null or b.until > clock_timestamp())) then
    perform roomlog.refuse('unknown_room', 'room', 'There is no such room for this author.');
  end if;
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
      array[p_type], array[json], null, case when kind.rooms_per_user > 0 then array[kind.rooms_per_user] end, null, round > 1, 0) x;
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
  else -- tag_conflict, unless what was sent then is this, and a webhook rewrote it
    select e.seq, e.mark, e.at into seq, mark, at
    from roomlog.rooms r join roomlog.rewrites w on w.tag = p_tag::uuid and w.room = r.id and w.author = p_author
    join roomlog.events e on e.tag = w.tag and e.room = w.room and e.author = w.author
    where r.name = p_room and w.sent = roomlog.fingerprint(p_type, json);
    if seq is null then
      perform roomlog.refuse('tag_conflict', 'tag', 'This tag was used for another event; a new event needs a new tag.');
    end if;
  end if;
  "position" := epoch || ':' || seq || ':' || lpad(to_hex(mark), 8, '0');
end
$$;
-- +goose StatementEnd

-- These run with the rights and the settings of who calls them; what text means there is not theirs to say.
alter function roomlog.append(text, text, text, uuid, text) set search_path = pg_catalog, pg_temp;
alter function roomlog.append(text, text, text, text, json) set search_path = pg_catalog, pg_temp;
alter function roomlog.append(text, text, text, uuid, json) set search_path = pg_catalog, pg_temp;
