package hub

import (
	"runtime"
	"testing"
	"time"

	"roomlog/server/wire"
)

// A room is watched by a cursor and by a poll that waits, and by nobody else: not by who writes to it or looked at it once.
func TestWatched(t *testing.T) {
	h := newHub(t, Config{Store: newModel()})
	if h.Watched("feed:a") {
		t.Error("nobody ever looked")
	}
	done := make(chan Outcome, 1)
	put := func() {
		t.Helper()
		h.Submit(Submit{Send: send("feed:a")}, func(o Outcome) { done <- o })
		if o := <-done; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	put()
	first, err := h.Poll(t.Context(), Join{Room: "feed:a"}, 0)
	if err != nil || h.Watched("feed:a") {
		t.Errorf("after a send and a poll that did not wait: watched, or %v", err)
	}
	polled := make(chan error, 1)
	go func() {
		position := first.Head.Position()
		_, err := h.Poll(t.Context(), Join{Room: "feed:a", Position: position}, time.Minute)
		polled <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); !h.Watched("feed:a"); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a poll waits, and the room is not watched")
		}
	}
	put()
	if err := <-polled; err != nil || h.Watched("feed:a") {
		t.Errorf("after the poll: watched, or %v", err)
	}
	c, err := h.Attach(newDrain(), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	if err := c.Join(t.Context(), Join{Room: "feed:a"}, func(Joined) []byte { return []byte("j") }); err != nil {
		t.Fatal(err)
	}
	if !h.Watched("feed:a") || h.Watched("feed:b") {
		t.Error("a cursor stands in feed:a alone")
	}
	c.Leave("feed:a")
	if h.Watched("feed:a") {
		t.Error("the cursor has left")
	}
}
