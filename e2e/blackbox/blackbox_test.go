package blackbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// CLOSE-7, ACK-1, ACK-7: a server that is told to stop under load answers what it has taken: each send that
// is in the log afterwards was acked with its seq, and each connection is closed with 1012.
func TestAStopAnswersEverySendThatItStores(t *testing.T) {
	const room, senders = "chat:stop", 4
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	data := t.TempDir()
	s := start(t, data)
	var mu sync.Mutex
	acked := map[string]int64{}
	refused := map[string]string{}
	flowing := make(chan struct{}, senders)
	var all sync.WaitGroup
	for i := range senders {
		c := s.dial(ctx, fmt.Sprintf("sender%d", i))
		all.Go(func() {
			for n := 1; ; n++ {
				text := fmt.Appendf(nil, `{"op":"send","id":%d,"n":%[1]d,"room":%q,"tag":%q,"type":"message","data":%[1]d}`, n, room, uuid.NewString())
				if c.Write(ctx, websocket.MessageText, text) != nil {
					return
				}
			}
		})
		all.Go(func() {
			for answers := 0; ; answers++ {
				f, err := read(ctx, c)
				if err != nil {
					if code := websocket.CloseStatus(err); code != websocket.StatusServiceRestart {
						t.Errorf("closed with %d, want 1012: %v", code, err)
					}
					return
				}
				mu.Lock()
				if f.Op == "ack" {
					acked[f.Tag] = f.Seq
				} else if f.Tag != "" {
					refused[f.Tag] = f.Code
				}
				mu.Unlock()
				if answers == 100 {
					flowing <- struct{}{}
				}
			}
		})
	}
	for range senders {
		<-flowing
	}
	s.stop()
	all.Wait()
	stored := start(t, data).log(room)
	if len(acked) < senders*100 {
		t.Errorf("only %d acks", len(acked))
	}
	for tag, seq := range acked {
		if stored[tag] != seq {
			t.Errorf("acked with seq %d, stored with %d (0: lost)", seq, stored[tag])
		}
	}
	for tag, seq := range stored {
		if _, ok := acked[tag]; !ok {
			t.Errorf("seq %d was stored and not acked: refused by %q", seq, refused[tag])
		}
	}
}

// TAG-6, HTTP-2, ACK-2: one tag sent at once over WebSockets and HTTP is one event, new to exactly one of them.
func TestATagSentOverAllTransportsAtOnceIsOneEvent(t *testing.T) {
	const room, user = "chat:tag", "twin"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := start(t, t.TempDir())
	for round := range 20 {
		tag := uuid.NewString()
		answers := make(chan frame, 12)
		var all sync.WaitGroup
		for range 6 {
			c := s.dial(ctx, user)
			all.Go(func() {
				text := fmt.Sprintf(`{"op":"send","id":1,"n":1,"room":%q,"tag":%q,"type":"message","data":{"a": 1}}`, room, tag)
				if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
					t.Error(err)
				}
				f, err := read(ctx, c)
				if err != nil || f.Op != "ack" {
					t.Errorf("WebSocket: %+v, %v", f, err)
				}
				answers <- f
			})
			all.Go(func() {
				var f frame
				body := fmt.Sprintf(`{"tag":%q,"type":"message","data":{"a":1}}`, strings.ToUpper(tag))
				status, err := s.call(user, "POST", "/v1/rooms/"+room+"/events", []byte(body), &f)
				if err != nil || (status == http.StatusOK) != f.Duplicate || status > http.StatusCreated {
					t.Errorf("HTTP: status %d, %+v, %v", status, f, err)
				}
				answers <- f
			})
		}
		all.Wait()
		close(answers)
		first := 0
		for f := range answers {
			if f.Seq != int64(round+1) {
				t.Errorf("round %d: seq %d", round, f.Seq)
			}
			if !f.Duplicate {
				first++
			}
		}
		if first != 1 {
			t.Errorf("round %d: %d answers say that the event is new", round, first)
		}
	}
}

// RESET-1, RESET-5, SSE-7: a client that has seen what a restored backup lacks hears of it; a stream cut between
// ready and reset hears of it the next time. Where the backup is a folder of its own, it has a new epoch
// (POS-7). Where each file is copied over that of the same name, nothing on the disk tells, and the positions do:
// first as ahead and, when the room has grown past them, as diverged.
func TestARestoredBackupResetsWhoHasSeenMore(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		resets(t, []string{"epoch", "epoch"}, func(_, backup string) string { return backup })
	})
	t.Run("file by file", func(t *testing.T) {
		resets(t, []string{"ahead", "diverged"}, func(data, backup string) string {
			for _, name := range []string{"roomlog.db", "roomlog.db.lock"} {
				file, err := os.ReadFile(filepath.Join(backup, name))
				must(t, err)
				must(t, os.WriteFile(filepath.Join(data, name), file, 0o600))
			}
			return data
		})
	})
}

// resets sends, makes a backup, sends more, and restores: the reasons are those that a client is then given
// which has seen all. restore gives the data folder to start on.
func resets(t *testing.T, reasons []string, restore func(data, backup string) string) {
	t.Helper()
	const room = "chat:backup"
	data, backup := t.TempDir(), t.TempDir()
	send := func(s *server, times int) {
		for range times {
			if status := s.send("u", room, uuid.NewString(), 1); status != http.StatusCreated {
				t.Fatalf("send: status %d", status)
			}
		}
	}
	s := start(t, data)
	send(s, 3)
	s.stop()
	must(t, os.CopyFS(filepath.Join(backup, "data"), os.DirFS(data)))
	s = start(t, data)
	send(s, 3)
	var page struct{ Position, Reason string }
	_, err := s.call("u", "GET", "/v1/rooms/"+room+"/events", nil, &page)
	must(t, err)
	seen := page.Position
	s.stop()

	s = start(t, restore(data, filepath.Join(backup, "data")))
	for _, want := range reasons {
		status, err := s.call("u", "GET", "/v1/rooms/"+room+"/events?after="+seen, nil, &page)
		must(t, err)
		if status != http.StatusGone || page.Reason != want {
			t.Errorf("poll: status %d, reason %q, want 410 and %q", status, page.Reason, want)
		}
		id := streamed(t, s, room, seen, "ready")
		if id != seen {
			t.Errorf("ready has the id %q, want the position that was given, %q", id, seen)
		}
		if id = streamed(t, s, room, id, "reset"); id == "" {
			t.Errorf("a stream resumed at the id of ready has no reset (%s)", want)
		}
		if streamed(t, s, room, id, "page") == "" {
			t.Error("a stream resumed at the id of the reset has not the page that belongs to it")
		}
		send(s, 5)
	}
}

// streamed follows a room from an id until the first event of a kind, cuts the stream there and gives that event's id.
func streamed(t *testing.T, s *server, room, from, kind string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/v1/sse?room="+room, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+s.token("u"))
	req.Header.Set("Last-Event-ID", from)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	var event, id string
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			if event == kind {
				return id
			}
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return ""
}
