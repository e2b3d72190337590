package transport

import (
	"context"
	"testing"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// blockedReads is a store whose reads wait until they are let go, as those of a database that hangs.
type blockedReads struct {
	room.Store
	begun, free chan struct{}
}

func (s blockedReads) Read(ctx context.Context, q room.Query) (room.Page, error) {
	s.begun <- struct{}{}
	select {
	case <-s.free:
		return s.Store.Read(ctx, q)
	case <-ctx.Done():
		return room.Page{}, ctx.Err()
	}
}

// A store that hangs holds up the joins that wait for it, in their order, and nothing else: the connection
// answers pings and takes sends (JOIN-1, BEAT-2, SEND-1).
func TestAJoinHoldsUpNothing(t *testing.T) {
	begun, free := make(chan struct{}, 8), make(chan struct{})
	f := start(t, options{hub: func(c *hub.Config) { c.Store = blockedReads{c.Store, begun, free} }})
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.sendf(`{"op":"join","id":2,"room":"chat:b"}`)
	p.sendf(`{"op":"leave","room":"chat:b"}`)
	p.sendf(`{"op":"join","id":3,"room":"chat:c"}`)
	<-begun
	p.sendf(`{"op":"ping"}`)
	p.expect("pong")
	p.sendf(`{"op":"send","id":4,"n":1,"room":"chat:b","tag":%q,"type":"message","data":1}`, tagOf(1))
	p.expect("ack")
	close(free)
	for id := range 3 {
		if got := p.expect("joined")["id"]; got != float64(id+1) {
			t.Errorf("joined %v, want %d", got, id+1)
		}
	}
	p.sendf(`{"op":"send","id":5,"n":2,"room":"chat:b","tag":%q,"type":"message","data":2}`, tagOf(2))
	p.expect("ack")
	p.sendf(`{"op":"ping"}`)
	p.expect("pong") // and no page: the leave came after its join (JOIN-10)
}

// A join whose client has gone meanwhile is answered to nobody, and counts as nothing that anybody was told.
func TestAJoinOfWhoHasGone(t *testing.T) {
	begun, free := make(chan struct{}, 8), make(chan struct{})
	f := start(t, options{hub: func(c *hub.Config) { c.Store = blockedReads{c.Store, begun, free} }})
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	<-begun
	must(t, p.nc.Close())
	eventually(t, "the connection is gone", func() bool { return f.hub.Stats().Connections == 0 })
	close(free)
	f.stop() // waits for the join
	if n := f.srv.Errors()[room.CodeGoingAway]; n != 0 {
		t.Errorf("%d were told going_away, want none", n)
	}
}
