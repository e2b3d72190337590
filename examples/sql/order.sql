-- Takes an order and says so in a room, both or neither:
--   psql "$DATABASE_URL" -v room=shop:orders -v id=$(uuidgen) -v item=lamp -f order.sql
--
-- It may be run again with the same id: the row is there once, and so is the event, whose tag is the id.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
begin;
insert into orders (id, item) values (:'id', :'item') on conflict do nothing;
-- Last: from here until the commit nobody else can send to the room.
select seq, case when duplicate then 'again' else 'new' end
from roomlog.append(:'room', 'order', 'service:shop', :'id', json_build_object('order', :'id', 'item', :'item'));
commit;
