package blackbox

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// HOOK-8, HOOK-9, HOOK-13: through kills of the server, each event that was acked is delivered to the app, and what
// the app takes of a room adjoins what it has: a page may come again, none is left out.
func TestWebhooksLoseNothingWhenTheServerIsKilled(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	const rooms, kills = 3, 4
	var mu sync.Mutex
	at := map[string]int64{} // by room: delivered up to
	tags := map[string]bool{}
	grown := make(chan struct{}, 1)
	refuse := rand.New(rand.NewPCG(seed, 2))
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // of a server that was killed
		}
		var d struct {
			Type, Room string
			Prev, Seq  int64
			Events     []struct{ Tag string }
		}
		if err := json.Unmarshal(body, &d); err != nil || d.Type != "after_append" {
			t.Errorf("HOOK-8: %v, %.200s", err, body)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if refuse.IntN(4) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if d.Prev > at[d.Room] {
			t.Errorf("HOOK-9: %s: (%d, %d] after %d", d.Room, d.Prev, d.Seq, at[d.Room])
		}
		at[d.Room] = max(at[d.Room], d.Seq)
		for _, e := range d.Events {
			tags[e.Tag] = true
		}
		select {
		case grown <- struct{}{}:
		default:
		}
	}))
	defer app.Close()

	data := t.TempDir()
	config := filepath.Join(data, "roomlog.yaml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "webhook-allow: [127.0.0.1/32]\nkinds:\n  chat:\n    after_append:\n"+
		"      - {name: app, url: %q, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, timeout: 5s}\n", app.URL), 0o600))
	acked := map[string]bool{}
	var s *server
	for range kills {
		s = start(t, data, "--config", config)
		for range 20 + rnd.IntN(40) {
			tag := uuid.NewString()
			if status := s.send("mira", fmt.Sprintf("chat:r%d", rnd.IntN(rooms)), tag, 1); status != 201 {
				t.Fatalf("send: %d", status)
			}
			acked[tag] = true
		}
		must(t, s.cmd.Process.Kill())
		<-s.exit
	}
	s = start(t, data, "--config", config)
	deadline := time.After(2 * patience)
	for {
		mu.Lock()
		missing := 0
		for tag := range acked {
			if !tags[tag] {
				missing++
			}
		}
		mu.Unlock()
		if missing == 0 {
			break
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("HOOK-8: %d of %d acked events are never delivered", missing, len(acked))
		}
	}
	s.stop()
}
