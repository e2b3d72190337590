-- +goose Up

-- Documents as they were compacted. What they are made of are events of the type doc in the log: appends write nothing here.
create table roomlog.docs (
  room  bigint not null,                 -- rooms.id, as below
  seq   bigint not null,                 -- of the newest update in state
  mark  bigint not null,                 -- of that
  name  text collate "C" not null,
  id    text collate "C" not null,       -- what stored its first update: SEQ-MARK
  state bytea  not null,                 -- an update, as Yjs encodes it
  primary key (room, name)
);

-- As far as the documents of a room are compacted. Events of the type doc behind it are not pruned.
create table roomlog.doc_rooms (
  room    bigint primary key,
  through bigint not null
);

create index events_docs on roomlog.events (room, seq) where type = 'doc';

-- Three functions change in one place each: what is needed for documents is not pruned, what a user wrote in them is not erased, and SQL, which
-- cannot judge an update, appends none.
-- +goose StatementBegin
do $do$
declare
  c   record;
  was text;
begin
  for c in
    select * from (values
      ('roomlog.prune(text, interval, bigint, interval, integer)', '  if upto = r.floor then',
        $new$  upto := least(upto, (select min(e.seq) from roomlog.events e where e.room = r.id and e.type = 'doc' and e.gone is null -- none: as it is
    and e.seq > coalesce((select x.through from roomlog.doc_rooms x where x.room = r.id), 0)));
  if upto = r.floor then$new$),
      ('roomlog.erase_some(text, text, text, uuid, uuid, text, integer, bigint)', $old$array['delete', 'member', 'erase']$old$,
        $new$array['delete', 'member', 'erase', 'doc']$new$),
      ('roomlog.append(text, text, text, text, text, bigint)', '  json := roomlog.compact($5, kind.event_bytes);',
        $new$  if p_type = 'doc' then
    perform roomlog.refuse('forbidden', 'type', 'Updates of documents are stored by the server alone, which judges them.');
  end if;
  json := roomlog.compact($5, kind.event_bytes);$new$)) as x (function, old, new)
  loop
    was := pg_get_functiondef(c.function::regprocedure);
    if position(c.old in was) = 0 then
      raise exception '% is not as it was', c.function;
    end if;
    execute replace(was, c.old, c.new);
  end loop;
end
$do$;
-- +goose StatementEnd
