package postgres

import (
	"context"
	"time"

	"roomlog/server/room"
)

// relaxedSQL names the settings that let an acknowledged transaction be lost in a crash of the machine;
// empty where there are none. They are what this session has, by whatever means: the server's file, its
// command line, the database, the role, the DSN. synchronous_commit=local waits for the disk of this server and not
// for its standbys, which is as much as a server without standbys can promise.
const relaxedSQL = `(select coalesce(string_agg(name || '=off', ', ' order by name), '')
	from unnest(array['fsync', 'full_page_writes', 'synchronous_commit']) name where current_setting(name) = 'off')`

// sweepEvery is how often the settings are looked at beside each new connection: a reload changes them for
// the connections that there are.
var sweepEvery = 15 * time.Second

// agree takes note of the terms that a session has found, and says when they have changed.
func (g *ground) agree(relaxed string) {
	was := g.relaxed.Swap(&relaxed)
	if was != nil && *was == relaxed {
		return
	}
	switch {
	case was == nil: // whoever opens the store asks Info
		return
	case relaxed != "":
		g.log.Error("the database no longer promises that an acknowledged event survives a crash", "durability", room.Relaxed, "because", relaxed)
	default:
		g.log.Warn("the database promises again that an acknowledged event survives a crash", "durability", room.Full)
	}
	select {
	case g.stale <- struct{}{}: // older sessions have what the role or the database said then
	default:
	}
}

// terms are the durability as it was last seen, and why it is relaxed.
func (g *ground) terms() (durability, relaxed string) {
	if seen := g.relaxed.Load(); seen != nil && *seen != "" {
		return room.Relaxed, *seen
	}
	return room.Full, ""
}

// sweep looks at the settings from time to time, until ctx ends.
func (s *Store) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ground.stale:
			s.pool.Reset()
			continue
		case <-ctx.Done():
			return
		}
		var relaxed string
		if err := s.pool.QueryRow(ctx, "select "+relaxedSQL).Scan(&relaxed); err == nil { // else the next connection will tell
			s.ground.agree(relaxed)
		}
	}
}
