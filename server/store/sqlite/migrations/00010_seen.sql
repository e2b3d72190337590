-- +goose Up

-- When users were there last.
create table seen (
  who   text    primary key,
  at    integer not null,                      -- microseconds since 1970, UTC
  until integer not null                       -- until then the user counts as there
) strict, without rowid;
