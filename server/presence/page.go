package presence

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"roomlog/server/room"
)

// Page is a part of who is in a room.
type Page struct {
	Users       int
	Connections int
	Counts      bool     // the room shows no names
	Members     [][]byte // JSON objects of [Member], by user, byte by byte
	Next        string   // the user behind which to go on; "": that was all
	Stale       bool
}

// Page lists who is in a room, after a user, limit at most. Where nobody has followed the room here it waits until all nodes that live have
// answered, or for a moment: it is stale then. It fails when ctx is done first.
func (p *Presence) Page(ctx context.Context, id room.ID, after string, limit int) (Page, error) {
	policy := p.cfg.Policy(id)
	if policy == room.ShowNone {
		return Page{Counts: true}, nil
	}
	if settled, within := p.wants(id); settled != nil {
		timer := time.NewTimer(within)
		defer timer.Stop()
		select {
		case <-settled:
		case <-timer.C:
		case <-ctx.Done():
			return Page{}, &room.Error{Code: room.CodeUnavailable, Title: "The request ended before other nodes could answer.", Cause: ctx.Err()}
		}
	}
	out, members := p.page(id, policy, after, limit)
	for _, m := range members {
		text, _ := json.Marshal(m) // it never fails: what Data holds was checked
		out.Members = append(out.Members, text)
	}
	return out, nil
}

// page is a page without its members, and these. It holds the lock of all rooms for no longer than those take that it names, and those who
// came or went since the room was shown last.
func (p *Presence) page(id room.ID, policy room.Show, after string, limit int) (out Page, members []Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out = Page{Stale: p.stale(), Counts: policy == room.ShowCounts}
	at := p.places[id]
	if at == nil {
		return out, nil
	}
	at.countAll()
	out.Stale, out.Users, out.Connections = at.stale(), at.users, at.connections
	if out.Counts {
		return out, nil
	}
	if at.order == nil {
		at.order = slices.Sorted(maps.Keys(at.people))
	}
	at.moves = 0
	from, found := slices.BinarySearch(at.order, after)
	if found {
		from++
	}
	users := at.order[from:]
	if len(users) > limit {
		users = users[:limit]
		out.Next = users[limit-1]
	}
	for _, user := range users {
		members = append(members, at.member(user))
	}
	return out, members
}

// mostMoves is how often the order is mended between two pages: each time moves those behind. Beyond, it is made anew when it is asked for.
const mostMoves = 100

// countAll brings the counts, and the order, up to what changed since the room was shown last.
func (at *place) countAll() {
	for user := range at.dirty {
		at.count(user)
	}
}

// reorder puts a user into the order who was not counted and is now, and takes one out who is not any more.
func (at *place) reorder(user string, was, is bool) {
	if at.order == nil || was == is {
		return
	}
	if at.moves++; at.moves > mostMoves {
		at.order = nil
		return
	}
	i, _ := slices.BinarySearch(at.order, user)
	if is {
		at.order = slices.Insert(at.order, i, user)
	} else {
		at.order = slices.Delete(at.order, i, i+1)
	}
}

// wants follows a room for a while. settled is closed when all other nodes have answered, for which to wait so long; nil: they have, or took
// too long.
func (p *Presence) wants(id room.ID) (settled <-chan struct{}, within time.Duration) {
	if !p.shared() {
		return nil, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	at := p.place(id)
	at.follow(now)
	at.wanted = now.Add(3 * p.cfg.AskEvery)
	at.schedule()
	if within = at.waits.Sub(now); within <= 0 {
		return nil, 0
	}
	if at.settled == nil {
		at.settled = make(chan struct{})
	}
	return at.settled, within
}
