-- +goose Up

-- Who may read a room and not send to it, whatever their tokens grant. Times are microseconds since 1970, UTC.
create table mutes (
  room   text    not null,
  who    text    not null,
  until  integer,             -- null: until it is lifted
  reason text    not null,
  author text    not null,
  at     integer not null,
  primary key (room, who)
) strict, without rowid;
