-- +goose Up

-- What the rooms of each kind take, as the server that started or was reloaded last has it. The kind '' stands for every
-- kind that has no row; without it such a kind is unknown.
create table roomlog.kinds (
  kind           text collate "C" primary key,
  types          text[],                 -- null: every type
  event_bytes    integer not null,       -- the largest data, compacted
  frame_bytes    integer not null,       -- the largest data as it is given
  rooms_per_user integer not null,       -- 0: any number
  closed         text                    -- why events of it are not taken from SQL; null: they are
);

-- refuse raises what an append is refused for: a state of the class RL for each code, whose text begins with it.
-- +goose StatementBegin
create function roomlog.refuse(code text, field text, title text) returns void language plpgsql
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
  end;
end
$$;
-- +goose StatementEnd

-- compact judges a text by the rules of data (DATA-1 to DATA-3) and gives it without the white space between its
-- tokens: what the server stores of the same text, byte by byte.
--
-- Escaped backslashes and escaped quotes are hidden behind characters that no JSON text has. Then quotes are where strings
-- begin and end, and what lies between two strings is every other part.
-- +goose StatementBegin
create function roomlog.compact(p_data text, p_bytes integer) returns text language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  backslash constant text := chr(92);
  hidden    text;
  outside   text;
  compacted text;
begin
  if p_data is null or p_data = '' then
    perform roomlog.refuse('bad_data', 'data', 'An event needs data: any JSON value.');
  elsif p_data ~ ('[' || chr(1) || chr(2) || ']') then
    perform roomlog.refuse('bad_data', 'data', 'The data is not valid JSON.');
  end if;
  hidden := replace(replace(p_data, backslash || backslash, chr(1) || chr(1)), backslash || '"', chr(2) || chr(2));
  select string_agg(case when p.n % 2 = 1 then translate(p.part, chr(32) || chr(9) || chr(10) || chr(13), '') else p.part end, '"' order by p.n),
    string_agg(p.part, '' order by p.n) filter (where p.n % 2 = 1)
  into compacted, outside
  from string_to_table(hidden, '"') with ordinality as p (part, n);

  -- Before the parser sees it, whose stack would be at its mercy.
  if length(outside) - length(translate(outside, '[{', '')) > 128 and 128 < (
    select max(d.depth) from (
      select sum(case when b.c in ('[', '{') then 1 else -1 end) over (order by b.n) as depth
      from string_to_table(outside, null) with ordinality as b (c, n) where b.c in ('[', '{', ']', '}')) d)
  then
    perform roomlog.refuse('bad_data', 'data', 'The data nests deeper than 128 levels.');
  end if;
  begin
    perform p_data::json;
  exception when data_exception or statement_too_complex then
    perform roomlog.refuse('bad_data', 'data', 'The data is not valid JSON.');
  end;
  compacted := replace(replace(compacted, chr(2) || chr(2), backslash || '"'), chr(1) || chr(1), backslash || backslash);
  if octet_length(compacted) > p_bytes then
    perform roomlog.refuse('message_too_large', 'data', format('The data is larger than an event may be: %s bytes.', p_bytes));
  elsif position(backslash || 'u0000' in hidden) > 0 then
    perform roomlog.refuse('bad_data', 'data', format('The data holds the character %su0000, which cannot be stored.', backslash));
  end if;
  return compacted;
end
$$;
-- +goose StatementEnd

-- append stores an event in the caller's own transaction: it is there when that commits, and never was when that
-- rolls back. Until then the room is the caller's, and nobody else appends to it. It answers as the server acks: by
-- seq, epoch and time of the event, and the position behind it; duplicate says that its author had stored it with
-- this tag before.
--
-- It judges as the server does, by the same rules and in the same order, but for what cannot be judged here: schemas and
-- webhooks. Kinds that have either are closed, unless their policy opens them. The author is whom the caller says.
--
-- Others learn of the event by a poke, which is visible with it. A notification would not do: committing one
-- takes a lock that all notifiers of the database share.
--
-- It runs with the rights of its owner, so its settings are fixed, those that decide how its texts are read too.
-- +goose StatementBegin
create function roomlog.append(
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

  if exists (select from roomlog.bans b where b.room = '' and b.who = p_author and (b.until is null or b.until > clock_timestamp())) then
    perform roomlog.refuse('revoked', 'author', 'The author is blocked.');
  end if;
  select k.* into kind from roomlog.kinds k where k.kind in (split_part(p_room, ':', 1), '') order by k.kind desc limit 1;
  if kind.kind is null
    or exists (select from roomlog.bans b where b.room = p_room and b.who = p_author and (b.until is null or b.until > clock_timestamp()))
  then
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

  for round in 1 .. 8 loop -- rows of rooms that do not exist may come and go; the second time they are made
    select x.* into a from roomlog.append(array[p_room], array[1], array[1], array[1], array[p_author], array[p_tag::uuid],
      array[p_type], array[json], null, case when kind.rooms_per_user > 0 then array[kind.rooms_per_user] end, null, round > 1, 0) x;
    exit when a.heads is not null;
  end loop;
  if a.heads is null then
    perform roomlog.refuse('unavailable', 'room', 'The room comes and goes; try again.');
  end if;

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

-- The same for arguments that have the types of their own. jsonb keeps neither the order of keys nor repeated ones nor
-- digits, so who has that casts it to text.
create function roomlog.append(
  room text, type text, author text, tag uuid, data text,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language sql volatile as $$ select * from roomlog.append($1, $2, $3, $4::text, $5) $$;

create function roomlog.append(
  room text, type text, author text, tag text, data json,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language sql volatile as $$ select * from roomlog.append($1, $2, $3, $4, $5::text) $$;

create function roomlog.append(
  room text, type text, author text, tag uuid, data json,
  out seq bigint, out epoch text, out "position" text, out at timestamptz, out duplicate boolean
) language sql volatile as $$ select * from roomlog.append($1, $2, $3, $4::text, $5::text) $$;

-- Whoever may append is granted the role roomlog_append, which the server makes when it starts.
revoke execute on function roomlog.append(text, text, text, text, text) from public;
revoke execute on function roomlog.append(text, text, text, uuid, text) from public;
revoke execute on function roomlog.append(text, text, text, text, json) from public;
revoke execute on function roomlog.append(text, text, text, uuid, json) from public;
