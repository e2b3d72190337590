-- +goose Up

-- Whose data is to be removed, and how far that has come: rooms are gone through in the order of their names.
create table erasures (
  who      text    primary key,
  author   text    not null,             -- who asked for it
  job      blob    not null,             -- drawn for each
  asked_at integer not null,             -- microseconds since 1970, UTC
  upto     text    not null default '',  -- the last room that is done
  rooms    integer not null default 0,   -- that had something
  events   integer not null default 0,   -- whose data went
  done_at  integer                       -- null: it is under way
) strict, without rowid;
