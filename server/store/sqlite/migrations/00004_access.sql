-- +goose Up

-- Who is kept out of a room, whatever their tokens grant; of every room, where room is ''.
-- Times are microseconds since 1970, UTC.
create table bans (
  room   text    not null,
  who    text    not null,
  until  integer,             -- null: until it is lifted
  reason text    not null,
  author text    not null,
  at     integer not null,
  primary key (room, who)
) strict, without rowid;

-- Tokens that are dead before their time: one by its id, or, where token is '', all issued before a time.
create table revocations (
  who    text    not null,
  token  text    not null,
  before integer not null,    -- 0 where token names one
  until  integer not null,    -- it is forgotten then
  reason text    not null,
  author text    not null,
  at     integer not null,
  primary key (who, token)
) strict, without rowid;
