-- The application's own tables, for examples/sql/order.sql and its likes.
create table stock (item text primary key);
create table orders (
  id   uuid primary key,
  item text not null references stock deferrable initially deferred -- looked at when the transaction commits
);
insert into stock values ('lamp'), ('chair');
