-- +goose Up

-- What users hold against events, until a moderator resolves it.
create table reports (
  number integer primary key autoincrement,     -- never given again
  room   integer not null,                      -- rooms.id
  seq    integer not null,
  who    text    not null,                      -- who reported it
  reason text    not null,
  at     integer not null,                      -- microseconds since 1970, UTC
  told   integer not null default 0             -- 1: the webhook has it
) strict;
create unique index reports_once on reports (room, seq, who);
create index reports_of on reports (room, number);
create index reports_by on reports (who);
create index reports_untold on reports (room, number) where told = 0;

-- The version at which receipts of the room were last taken away: who knew an earlier one reads them all again.
alter table receipt_versions add column removed integer not null default 0;
