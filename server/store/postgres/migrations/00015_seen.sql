-- +goose Up

-- When users were there last. Pages stay a part empty, for the updates that follow each minute.
create table roomlog.seen (
  who   text collate "C" primary key,
  at    timestamptz not null,
  until timestamptz not null                     -- until then the user counts as there
) with (fillfactor = 70);
