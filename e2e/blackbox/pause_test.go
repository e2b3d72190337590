package blackbox

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// stopped is for how long a node is stopped whose limit is two seconds: a busy machine lets it stand still for less.
const stopped = 3 * time.Second

// A node that is stopped (SIGSTOP) and wakes up tells its clients to come back, gives nobody who was revoked meanwhile
// anything, and serves by what the database says; its clients go on at another node, and nothing is lost or repeated
// (LIM-12, ACC-4, I1, I8, I13).
func TestPausedNode(t *testing.T) {
	db := database(t)
	a := node(t, db, "--pause-limit", "2s")
	b := node(t, db)
	readers := make([]*follower, 10)
	for i := range readers {
		readers[i] = &follower{token: a.token(fmt.Sprintf("u%d", i)), room: "chat:a"}
		must(t, readers[i].open(t.Context(), a.url))
		defer func() { readers[i].conn.CloseNow() }()
	}
	outcast := &follower{token: a.token("outcast"), room: "chat:a"}
	must(t, outcast.open(t.Context(), a.url))
	defer outcast.conn.CloseNow()
	writer := a.token("writer")
	for n := range 20 {
		insist(t, a.url, writer, "chat:a", tag(n))
	}
	for _, f := range append(readers, outcast) {
		must(t, f.reach(t.Context(), 20))
	}

	// Appends that are under way when the node stops are stored or not; the same tags, sent elsewhere, tell.
	under := make(chan error, 8)
	for n := range cap(under) {
		go func() {
			_, err := send(a.url, writer, "chat:a", tag(100+n))
			under <- err
		}()
	}
	must(t, a.cmd.Process.Signal(syscall.SIGSTOP))
	for n := range cap(under) {
		insist(t, b.url, writer, "chat:a", tag(100+n))
	}
	for n := range 10 {
		insist(t, b.url, writer, "chat:a", tag(200+n))
	}
	if status, err := b.call("admin", "POST", "/v1/users/outcast/revoke", []byte(`{}`), nil); err != nil || status != http.StatusOK {
		t.Fatalf("revoke: %d, %v", status, err)
	}
	canary := insist(t, b.url, writer, "chat:a", tag(300))
	time.Sleep(stopped) // the fault itself
	must(t, a.cmd.Process.Signal(syscall.SIGCONT))

	for i, f := range readers {
		err := f.drain(t.Context())
		if code := websocket.CloseStatus(err); code != websocket.StatusServiceRestart || f.retryMS < 1 {
			t.Errorf("reader %d of the node that was stopped: %v, come back in %d ms", i, err, f.retryMS)
		}
		must(t, f.open(t.Context(), b.url))
		must(t, f.reach(t.Context(), canary))
	}
	_ = outcast.drain(t.Context())
	for _, e := range outcast.seen {
		if e.Tag == tag(300) {
			t.Error("a user who was revoked before it was sent is given an event by the node that was stopped")
		}
	}
	for range cap(under) {
		<-under
	}

	// It serves again, by what is true now, and nothing is there twice.
	back := &follower{token: a.token("late"), room: "chat:a"}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for back.open(ctx, a.url) != nil && ctx.Err() == nil { // it may still be reading who is kept out
		time.Sleep(20 * time.Millisecond) // between two questions
	}
	defer back.conn.CloseNow()
	if err := outcast.open(t.Context(), a.url); websocket.CloseStatus(err) != 4503 {
		t.Errorf("the revoked user at the node that was stopped: %v, want close 4503", err)
	}
	must(t, back.reach(t.Context(), canary))
	insist(t, a.url, writer, "chat:a", tag(400))
	must(t, back.reach(t.Context(), canary+1))
	seqs := map[string]int64{}
	for _, e := range back.seen {
		if seqs[e.Tag] != 0 {
			t.Errorf("%s is at %d and at %d", e.Tag, seqs[e.Tag], e.Seq)
		}
		seqs[e.Tag] = e.Seq
	}
	if canary != 20+8+10+1 || len(seqs) != int(canary)+1 {
		t.Errorf("%d events, the canary at %d", len(seqs), canary)
	}
}
