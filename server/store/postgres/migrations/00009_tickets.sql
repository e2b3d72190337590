-- +goose Up

-- One-time tickets that were used, so that no node takes one a second time, and what became of them. The ids tell nobody a ticket.
create table roomlog.tickets (
  id    text collate "C" primary key,
  who   text collate "C" not null,
  first timestamptz not null,          -- by when it had to be used first
  until timestamptz not null,          -- it is forgotten then
  tries integer     not null default 0, -- since something was kept
  kept  bytea                          -- null: nothing
);
create index tickets_who on roomlog.tickets (who, first);
