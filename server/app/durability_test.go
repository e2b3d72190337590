package app

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// I24, HTTP-8: serve refuses a store that may lose what it acknowledges, until that is accepted; then it, and
// dev at once, say so at start, in the log and in /healthz.
func TestRelaxedDurability(t *testing.T) {
	server, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	store := server.DSN("") + "&synchronous_commit=off"
	var logged bytes.Buffer
	serve := Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Store: store, Kinds: NamedKinds("chat"), Origins: []string{"none"},
		Key: testKey, Log: slog.New(slog.NewTextHandler(&logged, nil)),
	}
	_, err = New(t.Context(), serve)
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit=off") || !strings.Contains(err.Error(), "--accept-relaxed-durability") {
		t.Errorf("serve with synchronous_commit off: %v", err)
	}
	accepted, dev := serve, Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Store: store, Log: serve.Log}
	accepted.AcceptRelaxedDurability = true
	for name, cfg := range map[string]Config{"accepted": accepted, "dev": dev} {
		logged.Reset()
		a, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(); err != nil {
			t.Fatal(err)
		}
		if d := a.About().Durability; !strings.HasPrefix(d, "relaxed: ") || !strings.Contains(d, "synchronous_commit=off") {
			t.Errorf("%s: the server says %q at start", name, d)
		}
		if !strings.Contains(logged.String(), "level=WARN") || !strings.Contains(logged.String(), "synchronous_commit=off") {
			t.Errorf("%s: logged is %q", name, logged.String())
		}
		var health struct{ Status, Durability, Relaxed string }
		ask(t, "GET", a.About().URL+"/healthz", "", "", &health)
		if health.Status != "ok" || health.Durability != "relaxed" || health.Relaxed != "synchronous_commit=off" {
			t.Errorf("%s: /healthz says %+v", name, health)
		}
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

// ending is a store whose disk can fail.
type ending struct {
	room.Store
	failed chan struct{}
}

func (e ending) Failed() <-chan struct{} { return e.failed }

// A server whose store has ended ends too, for the next process to recover; one that is stopped first does
// not watch any more.
func TestServerEndsWithItsStore(t *testing.T) {
	a := begin(t, t.TempDir())
	store := ending{failed: make(chan struct{})}
	a.watch(store)
	select {
	case <-a.Failed():
		t.Fatal("the server has failed before its store")
	default:
	}
	close(store.failed)
	<-a.Failed()
}
