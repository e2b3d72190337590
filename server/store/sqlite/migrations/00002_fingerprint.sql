-- +goose Up

-- Where this database was last used: a copy of it is elsewhere, an older state of it was used before.
-- Null until it has been opened.
alter table meta add column file text;   -- identity of the file on its disk
alter table meta add column opened text; -- drawn anew each time that a server opens it
