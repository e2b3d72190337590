package transport

import (
	"testing"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// deaf is a peer that takes everything.
type deaf struct{}

func (deaf) TryWrite(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}
func (deaf) WriteAll([]byte) error { return nil }
func (deaf) Close(*room.Error)     {}

// A command of a stream may come to be done when the stream has just ended: nobody is told then, and nothing is kept for it.
func TestTheFeedTakesNobodyWhoIsGone(t *testing.T) { // MEM-10
	f := club(t, options{})
	conn, err := f.hub.Attach(deaf{}, wire.EventStream)
	must(t, err)
	conn.Detach()
	f.srv.feed.leave(conn)
	if err := f.srv.feed.watch(conn, wire.EventStream, func() *auth.Identity { return &auth.Identity{User: "ann"} }, &asked{}); err != nil {
		t.Fatal(err)
	}
	f.srv.feed.mu.Lock()
	defer f.srv.feed.mu.Unlock()
	if len(f.srv.feed.of) != 0 || len(f.srv.feed.users) != 0 {
		t.Errorf("%d connections and %d users are kept", len(f.srv.feed.of), len(f.srv.feed.users))
	}
}

// Names that no user has are refused before the store is asked, which could not be told some of them.
func TestNamesThatNoUserHas(t *testing.T) { // MEM-3, PRES-17
	f := startPeople(t, nil)
	for _, name := range []string{"a%00", "%ff", "a%0a", "%ef%bf%bd"} {
		if a := f.request("GET", "/v1/users/presence?user=ann&user="+name, f.token("ann"), ""); a.status != 400 || a.body["field"] != "user" {
			t.Errorf("PRES-17: %s: %d %s", name, a.status, a.text)
		}
	}
	f = club(t, options{})
	f.enroll("club:a", "ann", "owner")
	for _, name := range []string{"a%00", "%ff"} {
		if a := f.request("GET", "/v1/rooms/club:a/members?after="+name, f.token("ann"), ""); a.status != 400 || a.body["field"] != "after" {
			t.Errorf("MEM-3: %s: %d %s", name, a.status, a.text)
		}
	}
}
