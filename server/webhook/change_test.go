package webhook

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// What is deleted while its page is not taken is not in the next try of it, which is the same page otherwise.
func TestARetryLacksWhatWasDeleted(t *testing.T) { // CHG-7, HOOK-10
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	r := newReceiver(t)
	tries := 0
	r.fail = func(delivery) int {
		if tries++; tries > 1 {
			return 0
		}
		out, err := s.Append(context.Background(), []room.Send{{
			Room: "chat:a", Author: "u", Tag: room.Tag{9}, Type: room.TypeDelete, Data: []byte(`{"target":1}`), Change: &room.Change{Target: 1, Own: true},
		}})
		if err != nil || out.Verdicts[0].Target != 1 {
			t.Errorf("delete: %+v, %v", out, err)
		}
		return 500
	}
	e := NewEngine(EngineConfig{Store: s, Guard: loopback, FirstRetry: time.Millisecond, LastRetry: time.Millisecond})
	must(t, e.Use(t.Context(), []Hook{r.hook("one", "chat")}))
	defer func() { must(t, e.Stop(context.Background())) }()
	must(t, s.BeginHook(t.Context(), "one", "chat", false))
	say(t, s, e, "chat:a", 2)
	e.Start()
	r.until("the page is taken", func() bool { return r.at["one chat:a"] >= 2 })
	r.mu.Lock()
	defer r.mu.Unlock()
	first, again := r.all[0], r.all[1]
	if again.ID != first.ID || again.Seq != 2 || !strings.Contains(string(first.Events[0].Data), "CANARY") {
		t.Fatalf("tries %+v and %+v", first, again)
	}
	if string(again.Events[0].Data) != "null" || !strings.Contains(string(again.Events[1].Data), "CANARY") {
		t.Errorf("the second try has %v", again.Events)
	}
}
