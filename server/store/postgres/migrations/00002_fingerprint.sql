-- +goose Up

-- Where this database was when a node last looked: a copy of it, or one loaded from a dump, is elsewhere.
-- Null until a node has looked.
alter table roomlog.meta
  add column system   text,    -- the cluster's system identifier
  add column place    text,    -- oids of the database and of this table
  add column timeline integer; -- the cluster's; it moves on with each promotion
