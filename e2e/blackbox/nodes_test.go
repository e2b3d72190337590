package blackbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"roomlog/server/store/postgres/pgtest"
)

// sharedKey is that of nodes which take each other's tokens.
const sharedKey = "a key of at least thirty-two bytes, of nodes"

// patience bounds what a test waits for; nothing waits that long when all is well.
const patience = 60 * time.Second

// database starts a PostgreSQL of the test's own, which it may stop.
func database(t *testing.T) *pgtest.Server {
	t.Helper()
	db, err := pgtest.Start(t.Context(), pgtest.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// node starts a server on a database, with further flags. Those of one database take each other's tokens.
func node(t *testing.T, db *pgtest.Server, flags ...string) *server {
	t.Helper()
	return start(t, t.TempDir(), append([]string{"--store", db.DSN(""), "--key", sharedKey}, flags...)...)
}

// event is one event of a page.
type event struct {
	Seq int64
	Tag string
}

// heard is a frame with all that followers read.
type heard struct {
	Op, Code, Room, Tag, Reason string
	ID, Seq, Prev, Head         int64
	RetryAfterMS                int64 `json:"retry_after_ms"`
	Position                    string
	Page                        *heard
	Reset                       *heard
	Events                      []event
}

// follower follows one room over WebSockets, one after the other, from its own position.
type follower struct {
	token, room string
	position    string // "": from nothing
	seq         int64
	seen        []event
	conn        *websocket.Conn
	retryMS     int64 // of the going_away that ended the last connection
}

// open connects to a server and joins, and takes the first page.
func (f *follower) open(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url+"/v1/ws", nil)
	if err != nil {
		return err
	}
	c.SetReadLimit(8 << 20)
	f.conn, f.retryMS = c, 0
	hello := fmt.Appendf(nil, `{"op":"hello","token":%q}`, f.token)
	join := fmt.Appendf(nil, `{"op":"join","room":%q,"position":%q}`, f.room, f.position)
	if f.position == "" {
		join = fmt.Appendf(nil, `{"op":"join","room":%q,"position":"0"}`, f.room)
	}
	for _, frame := range [][]byte{hello, join} {
		if err := c.Write(ctx, websocket.MessageText, frame); err != nil {
			return err
		}
	}
	for {
		h, err := f.next(ctx)
		switch {
		case err != nil:
			return err
		case h.Op == "joined":
			if h.Reset != nil {
				return fmt.Errorf("reset: %s", h.Reset.Reason)
			}
			return nil
		}
	}
}

// next reads a frame, and takes what it has of the log: a page that does not adjoin is an error.
func (f *follower) next(ctx context.Context) (h heard, err error) {
	_, text, err := f.conn.Read(ctx)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("%s: %w", text, err)
	}
	switch {
	case h.Op == "ping":
		return h, f.conn.Write(ctx, websocket.MessageText, []byte(`{"op":"pong"}`))
	case h.Op == "error" && h.ID == 0:
		f.retryMS = h.RetryAfterMS
	case h.Op == "reset":
		return h, fmt.Errorf("reset: %s", h.Reason)
	case h.Op == "page":
		return h, f.take(&h)
	case h.Op == "joined" && h.Reset == nil:
		return h, f.take(h.Page)
	}
	return h, nil
}

func (f *follower) take(p *heard) error {
	if p.Prev != f.seq {
		return fmt.Errorf("a page (%d,%d] at %d", p.Prev, p.Seq, f.seq)
	}
	for i, e := range p.Events {
		if e.Seq != p.Prev+int64(i)+1 {
			return fmt.Errorf("seq %d in a page (%d,%d]", e.Seq, p.Prev, p.Seq)
		}
	}
	f.seen = append(f.seen, p.Events...)
	f.seq, f.position = p.Seq, p.Position
	return nil
}

// reach reads until the follower is at a seq.
func (f *follower) reach(ctx context.Context, seq int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for f.seq < seq {
		if _, err := f.next(ctx); err != nil {
			return fmt.Errorf("at %d of %d: %w", f.seq, seq, err)
		}
	}
	return nil
}

// drain reads to the end of the connection and gives what it ended with.
func (f *follower) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if _, err := f.next(ctx); err != nil {
			return err
		}
	}
}

// answer is what a send got.
type answer struct {
	status int
	Code   string
	Seq    int64
}

// send posts an event, and does not wait for ever.
func send(url, token, room, tag string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body := fmt.Appendf(nil, `{"tag":%q,"type":"message","data":1}`, tag)
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/rooms/"+room+"/events", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	return a, json.NewDecoder(resp.Body).Decode(&a)
}

// insist sends until it is answered by an event.
func insist(t *testing.T, url, token, room, tag string) int64 {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		a, err := send(url, token, room, tag)
		if err == nil && (a.status == http.StatusCreated || a.status == http.StatusOK) {
			return a.Seq
		}
		if err == nil && a.status != http.StatusServiceUnavailable {
			t.Fatalf("a send: %+v", a)
		}
		time.Sleep(20 * time.Millisecond) // before it asks again
	}
	t.Fatal("a send is never stored")
	return 0
}

// text is what a path answers.
func (s *server) text(path string) string {
	s.t.Helper()
	resp, err := http.Get(s.url + path)
	must(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return string(text)
}

// tag makes the nth tag.
func tag(n int) string { return fmt.Sprintf("0192f0c1-7d1a-4b8e-9a53-%012d", n) }
