package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres"
	"roomlog/server/store/postgres/pgtest"
)

// town is a server on a store that can be taken back to a backup, and its clients.
type town struct {
	t       *testing.T
	cfg     Config
	app     *App
	site    site
	clients []*window
	sent    int
}

func (w *town) start() {
	w.t.Helper()
	a, err := New(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.app = a
	if w.site.token == "" {
		var made struct{ Token string }
		ask(w.t, "GET", a.About().URL+"/v1/dev/token?user=mira", "", "", &made)
		w.site.token = made.Token
	}
}

func (w *town) stop() {
	w.t.Helper()
	w.site.move("")
	if err := w.app.Stop(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// send stores n events that say of which history they are.
func (w *town) send(n int, history string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for range n {
		w.sent++
		body := fmt.Sprintf(`{"tag":"00000000-0000-4000-8000-%012d","type":"message","data":%q}`, w.sent, history)
		for ask(w.t, "POST", w.app.About().URL+"/v1/rooms/chat:a/events", w.site.token, body, nil) != http.StatusCreated {
			if time.Now().After(deadline) {
				w.t.Fatal("no send is stored")
			}
		}
	}
}

// follow starts the clients; they end with the test.
func (w *town) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	w.t.Cleanup(func() {
		cancel()
		following.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	client := func(name string) *window {
		c := &window{name: name, position: "0", changed: make(chan struct{}, 1)}
		w.clients = append(w.clients, c)
		return c
	}
	polled, unmarked, streamed := client("poll"), client("poll without marks"), client("stream")
	following.Go(func() { polled.poll(ctx, &w.site, true) })
	following.Go(func() { unmarked.poll(ctx, &w.site, false) })
	following.Go(func() { streamed.stream(ctx, &w.site) })
}

// await waits until every client stands at seq, of a history, but for those left out.
func (w *town) await(seq int64, history string, without ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for _, c := range w.clients {
		if slices.Contains(without, c.name) {
			continue
		}
		if err := c.await(ctx, seq, history); err != nil {
			w.t.Error(err)
		}
		c.mu.Lock()
		if history == "restored" && len(c.resets) == 0 {
			w.t.Errorf("%s was not reset", c.name)
		}
		c.mu.Unlock()
	}
}

// lengths are how much is stored after a restore to 10 of 20 events: the head is then before or past the
// place where the clients stand.
var lengths = map[string]int{"before the head passes": 1, "at the same head": 10, "after the head has passed": 30}

// TestRestoreSQLite: I11. An older copy of the file is put in place of a stopped server's, and clients come
// back with what they have. Whoever names no mark is saved by the new epoch.
func TestRestoreSQLite(t *testing.T) {
	for name, n := range lengths {
		t.Run(name, func(t *testing.T) {
			w := &town{t: t, cfg: Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir()}}
			file := filepath.Join(w.cfg.Data, "roomlog.db")
			w.start()
			w.send(10, "common")
			w.stop()
			backup, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w.start()
			w.follow()
			w.site.move(w.app.About().URL)
			w.send(10, "lost")
			w.await(20, "lost")
			w.stop()
			if err := os.WriteFile(file, backup, 0o600); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.send(n, "restored")
			w.site.move(w.app.About().URL)
			w.await(int64(10+n), "restored")
			w.stop()
		})
	}
}

// TestRestorePostgres: I11, against real servers whose files are taken back: under a running node, which finds
// out by its own; while the node is down, where marks alone save those who have them; and with
// the operator's `roomlog epoch bump`, which saves the others too.
func TestRestorePostgres(t *testing.T) {
	server, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, how := range []string{"running", "down", "bumped"} {
		for name, n := range lengths {
			t.Run(how+", "+name, func(t *testing.T) { restorePostgres(t, server, how, n, false) })
		}
	}
	for _, how := range []string{"running", "down"} {
		for _, name := range []string{"before the head passes", "after the head has passed"} {
			t.Run(how+", a base backup, "+name, func(t *testing.T) { restorePostgres(t, server, how, lengths[name], true) })
		}
	}
}

// base has the backup made by pg_basebackup, of the server as it runs and with the clients attached.
func restorePostgres(t *testing.T, server *pgtest.Server, how string, n int, base bool) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dsn := server.DSN("") // one database: it is taken back to nothing at the end
	empty := func() string {
		check(server.Stop(pgtest.Fast))
		dir, err := server.Backup()
		check(err)
		check(server.Restart(t.Context()))
		return dir
	}
	clean := empty()
	w := &town{t: t, cfg: Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Store: dsn}}
	w.start()
	w.send(10, "common")
	var backup string
	if !base {
		backup = empty()
	}
	w.follow()
	w.site.move(w.app.About().URL)
	if base {
		w.await(10, "common")
		dir, err := server.BaseBackup(t.Context())
		check(err)
		backup = dir
	}
	w.send(10, "lost")
	w.await(20, "lost")
	if how != "running" {
		w.stop()
	}
	check(server.Stop(pgtest.Fast))
	check(server.Restore(backup))
	check(server.Restart(t.Context()))
	if how == "running" { // somebody else writes first, then this node
		others(t, dsn, n-1)
		w.send(1, "restored")
		w.await(int64(10+n), "restored")
	} else {
		if how == "bumped" {
			_, _, err := w.cfg.BumpEpoch(t.Context())
			check(err)
		}
		w.start()
		w.send(n, "restored")
		w.site.move(w.app.About().URL)
		if how == "bumped" {
			w.await(int64(10+n), "restored")
		} else {
			w.await(int64(10+n), "restored", "poll without marks")
		}
	}
	w.stop()
	check(server.Stop(pgtest.Fast))
	check(server.Restore(clean))
	check(server.Restart(t.Context()))
}

// others stores n events as another node would, which knows nothing of what was lost.
func others(t *testing.T, dsn string, n int) {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range n {
		send := room.Send{Room: "chat:a", Author: "other", Tag: room.Tag{7, byte(i)}, Type: "message", Data: []byte(`"restored"`)}
		if _, err := s.Append(t.Context(), []room.Send{send}); err != nil {
			t.Fatal(err)
		}
	}
}
