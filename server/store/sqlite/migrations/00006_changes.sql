-- +goose Up

-- An event keeps how many messages its room had up to it, and the room's row how many it has. Events from before have 0: nothing of
-- them is unread.
alter table events add column ordinal integer not null default 0;
alter table events add column target integer; -- of a change: the seq of the message that it changes
alter table events add column gone integer;   -- the seq of the event that deleted it; data is then null, in JSON
alter table rooms add column messages integer not null default 0;

-- The edits of a message, which go with it. No other event is in here.
create index events_edits on events (room, target) where type = 'edit';

-- What follows is of events that are kept, but for members.

-- The last edit of a message.
create table edits (
  room     integer not null,             -- rooms.id
  seq      integer not null,             -- of the message
  edit_seq integer not null,
  at       integer not null,             -- microseconds since 1970, UTC
  who      text    not null,
  data     text    not null,
  primary key (room, seq)
) strict, without rowid;

-- Who has which emoji on a message.
create table reactions (
  room   integer not null,               -- rooms.id
  seq    integer not null,               -- of the message
  emoji  text    not null,
  who    text    not null,
  at_seq integer not null,               -- of the reaction
  primary key (room, seq, emoji, who)
) strict, without rowid;

-- What is left of a message that was deleted, or of an edit of one.
create table redactions (
  room    integer not null,              -- rooms.id
  seq     integer not null,
  ordinal integer not null,              -- of the message; 0: it is an edit
  author  text    not null,
  by_seq  integer not null,              -- of the delete
  who     text    not null,              -- its author
  at      integer not null,              -- microseconds since 1970, UTC
  sum     blob    not null,              -- of what its author sent, keyed by meta.secret
  primary key (room, seq)
) strict, without rowid;

-- Whom a message names.
create table mentions (
  room    integer not null,              -- rooms.id
  who     text    not null,
  seq     integer not null,
  ordinal integer not null,
  primary key (room, who, seq)
) strict, without rowid;
create index mentions_seq on mentions (room, seq);

-- Who belongs to a room. since_seq, at and author are those of the event that made them a member.
create table members (
  room      integer not null,            -- rooms.id
  who       text    not null,
  role      text    not null,
  since_seq integer not null,
  at        integer not null,            -- microseconds since 1970, UTC
  author    text    not null,
  primary key (room, who)
) strict, without rowid;
create index members_who on members (who);

-- A repeat of an event that was deleted, and then pruned, is told so still.
alter table tags add column target integer;
alter table tags add column gone integer;     -- the seq of the delete; null: it was not deleted
alter table tags add column gone_who text;
alter table tags add column gone_at integer;
