package transport

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// slowAccess is a store whose access is read when the test lets it be.
type slowAccess struct {
	room.AccessStore
	asked   chan struct{}
	answers chan error
}

func (a *slowAccess) Access(ctx context.Context, now time.Time) (room.Access, error) {
	if a.asked != nil {
		a.asked <- struct{}{}
		if err := <-a.answers; err != nil {
			return room.Access{}, err
		}
	}
	return a.AccessStore.Access(ctx, now)
}

// A node that was paused serves nobody by what it knew before: its clients are told to come back, each at a time of its own
// (LIM-12), whoever comes meanwhile is refused, and what was taken back and stored elsewhere holds when it goes on (ACC-4).
func TestWokenFromAPause(t *testing.T) {
	slow := &slowAccess{}
	f := start(t, options{
		hub: func(c *hub.Config) { c.CheckEvery = time.Hour },
		server: func(c *Config) {
			slow.AccessStore, c.Access = c.Access, slow
			c.AccessEvery, c.DrainOver = time.Hour, 4*time.Second
		},
	})
	f.post("u1", "chat:a", 1, "1", http.StatusCreated)
	sockets := make([]*peer, 40)
	for i := range sockets {
		sockets[i] = f.login(fmt.Sprintf("u%d", i))
	}
	sockets[0].sendf(`{"op":"join","room":"chat:a"}`)
	position := sockets[0].expect("joined")["page"].(map[string]any)["position"].(string)
	stream := f.listen("/v1/sse?room=chat:a", f.token("s1"))
	stream.event() // ready

	// Elsewhere: u2 is revoked, and the room grows.
	at := now()
	must(t, f.store.PutRevocation(t.Context(), room.Revocation{User: "u2", Before: at.Add(time.Minute), Until: at.Add(time.Hour), At: at}))
	_, err := f.store.Append(t.Context(), []room.Send{{Room: "chat:a", Author: "u9", Tag: room.Tag{1}, Type: "message", Data: []byte("2")}})
	must(t, err)

	slow.answers = make(chan error)
	slow.asked = make(chan struct{})
	woken := make(chan error, 1)
	go func() { woken <- f.srv.Woken(t.Context(), f.hub.Forget) }()
	<-slow.asked // everybody is cut, and access not read yet
	var told []int
	for _, p := range sockets {
		ms, _ := p.expectError(room.CodeGoingAway)["retry_after_ms"].(float64)
		p.expectClose(1012)
		told = append(told, int(ms))
	}
	judgeSpread(t, told, 4*time.Second)
	if ms := lastRetry(t, stream.br); ms < 1 || ms > 4001 {
		t.Errorf("the stream is to come back in %d ms", ms)
	}
	if a := f.request("GET", "/v1/rooms/chat:a/events", f.token("u1"), ""); a.status != http.StatusServiceUnavailable || a.code() != "overloaded" || a.header.Get("Retry-After") == "" {
		t.Errorf("a read before access is read: %d %s", a.status, a.text)
	}
	p := f.dial()
	p.sendf(`{"op":"hello","token":%q}`, f.token("u2"))
	p.expectError(room.CodeOverloaded)
	p.expectClose(4002)
	slow.answers <- &room.Error{Code: room.CodeUnavailable}
	<-slow.asked // again
	slow.answers <- nil
	must(t, <-woken)
	slow.asked = nil

	p = f.dial()
	p.sendf(`{"op":"hello","token":%q}`, f.token("u2"))
	p.expectError(room.CodeRevoked)
	p.expectClose(4503)
	p = f.login("u1")
	p.sendf(`{"op":"join","room":"chat:a","position":%q}`, position)
	m := p.expect("joined")
	if events := m["page"].(map[string]any)["events"].([]any); m["reset"] != nil || m["head"] != 2.0 || len(events) != 1 {
		t.Errorf("after the pause: %v", m)
	}
}
