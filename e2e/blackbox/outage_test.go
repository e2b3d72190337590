package blackbox

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres"
	"roomlog/server/store/postgres/pgtest"
)

// A database that goes under a running server: sends are refused, soon, and may be repeated; nothing is cut; and when it
// is back, reading goes on by itself, also in a room to which only others wrote.
func TestDatabaseGoesAndComesBack(t *testing.T) {
	db := database(t)
	s := node(t, db, "--pause-limit", "10m")
	token := s.token("mira")
	quiet, loud := &follower{token: token, room: "chat:quiet"}, &follower{token: token, room: "chat:loud"}
	insist(t, s.url, token, "chat:quiet", tag(1))
	for _, f := range []*follower{quiet, loud} {
		must(t, f.open(t.Context(), s.url))
		defer f.conn.CloseNow()
	}
	must(t, quiet.reach(t.Context(), 1))

	// One sender that does not stop, so that an append is under way when the database goes.
	stop, sent := make(chan struct{}), make(chan int64)
	go func() {
		var head int64
		for n := 100; ; n++ {
			select {
			case <-stop:
				sent <- head
				return
			default:
				head = insist(t, s.url, token, "chat:loud", tag(n))
			}
		}
	}()
	must(t, loud.reach(t.Context(), 20))
	must(t, db.Stop(pgtest.Immediate))
	began := time.Now()
	for n := range 3 {
		a, err := send(s.url, token, "chat:other", tag(2))
		must(t, err)
		if a.status != http.StatusServiceUnavailable || a.Code != "unavailable" {
			t.Errorf("a send while the database is away: %+v", a)
		}
		t.Logf("refusal %d after %v", n, time.Since(began))
		began = time.Now()
	}
	if status, err := s.call("", "GET", "/readyz", nil, nil); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while the database is away: %d, %v", status, err)
	}

	// Another node has the database back before this one, which is held still meanwhile.
	must(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	must(t, db.Restart(t.Context()))
	other, err := postgres.Open(t.Context(), db.DSN(""), nil)
	must(t, err)
	defer other.Close()
	_, err = other.Append(t.Context(), []room.Send{{Room: "chat:quiet", Author: "ann", Tag: room.Tag{1}, Type: "message", Data: []byte("2")}})
	must(t, err)
	must(t, s.cmd.Process.Signal(syscall.SIGCONT))
	back := time.Now()
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the sweep would take longer
	defer cancel()
	if err := quiet.reach(soon, 2); err != nil {
		t.Errorf("a room that another node wrote to: %v", err)
	}
	t.Logf("a room that another node wrote to goes on %v after the database's return", time.Since(back))
	insist(t, s.url, token, "chat:other", tag(2))
	t.Logf("a send is stored %v after it", time.Since(back))
	close(stop)
	head := <-sent
	must(t, loud.reach(t.Context(), head))
	tags := map[string]bool{}
	for _, e := range loud.seen {
		if tags[e.Tag] {
			t.Errorf("%s is there twice", e.Tag)
		}
		tags[e.Tag] = true
	}
	if int64(len(tags)) != head {
		t.Errorf("%d events of %d", len(tags), head)
	}
	if status, err := s.call("", "GET", "/readyz", nil, nil); err != nil || status != http.StatusOK {
		t.Errorf("/readyz when it is back: %d, %v", status, err)
	}
	s.stop()
	for _, f := range []*follower{quiet, loud} {
		if err := f.drain(t.Context()); errors.Is(err, context.DeadlineExceeded) || f.retryMS < 1 {
			t.Errorf("%s: cut before the stop, or not told when to come back: %v", f.room, err)
		}
	}
}
