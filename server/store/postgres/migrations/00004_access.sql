-- +goose Up

-- Who is kept out of a room, whatever their tokens grant; of every room, where room is ''.
create table roomlog.bans (
  room   text collate "C" not null,
  who    text collate "C" not null,
  until  timestamptz,                 -- null: until it is lifted
  reason text        not null,
  author text        not null,
  at     timestamptz not null,
  primary key (room, who)
);

-- Tokens that are dead before their time: one by its id, or, where token is '', all issued before a time.
create table roomlog.revocations (
  who    text collate "C" not null,
  token  text collate "C" not null,
  before timestamptz,                 -- null where token names one
  until  timestamptz not null,        -- it is forgotten then
  reason text        not null,
  author text        not null,
  at     timestamptz not null,
  primary key (who, token)
);
