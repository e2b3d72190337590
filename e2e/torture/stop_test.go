package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const (
	leavers     = 40
	leaverSends = 8 // in flight at a time
)

// leaver sends as fast as it is answered, until the server ends the connection.
type leaver struct {
	room    string
	conn    *websocket.Conn
	acked   map[string]int64 // seqs by tag
	retryMS int64            // of the going_away before the end
	end     error
}

// run sends until the connection ends. all counts the acks of all.
func (l *leaver) run(ctx context.Context, all *atomic.Int64) {
	slots := make(chan struct{}, leaverSends)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	var sender sync.WaitGroup
	defer sender.Wait()
	defer stop()
	sender.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case slots <- struct{}{}:
			case <-sending.Done():
				return
			}
			if writeJSON(sending, l.conn, map[string]any{"op": "send", "n": n, "id": n, "room": l.room, "tag": newTag(), "type": "message", "data": n}) != nil {
				return
			}
		}
	})
	for {
		_, text, err := l.conn.Read(ctx)
		if err != nil {
			l.end = err
			return
		}
		var f struct {
			Op, Code, Tag string
			ID, Seq       int64
			RetryAfterMS  int64 `json:"retry_after_ms"`
		}
		if l.end = json.Unmarshal(text, &f); l.end != nil {
			return
		}
		switch {
		case f.Op == "ack":
			l.acked[f.Tag] = f.Seq
			all.Add(1)
			<-slots
		case f.Op == "error" && f.ID == 0:
			l.retryMS = f.RetryAfterMS
		}
	}
}

func enter(t *testing.T, n *node, i int) *leaver {
	t.Helper()
	token, err := n.token(fmt.Sprintf("u%d", i))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dialWebSocket(t.Context(), n.addr, token)
	if err != nil {
		t.Fatal(err)
	}
	return &leaver{room: roomName(i % rooms), conn: conn, acked: make(map[string]int64)}
}

// A server that is asked to stop under load ends by itself and in time; every client is told when to come
// back, not all at once, and closed with 1012; and what was acknowledged is in the log, at its seq
// (CLOSE-7, CLOSE-10, SSE-10, ACK-1; I25).
func TestStopUnderLoad(t *testing.T) {
	n, err := newNode(binary, t.TempDir(), "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.kill() })
	var all atomic.Int64
	var running sync.WaitGroup
	crowd := make([]*leaver, leavers)
	for i := range crowd {
		crowd[i] = enter(t, n, i)
	}
	stream := openStream(t, n)
	for _, l := range crowd {
		running.Go(func() { l.run(t.Context(), &all) })
	}
	for all.Load() < 2000 {
		wait(t.Context(), time.Millisecond)
		if t.Context().Err() != nil {
			t.Fatal("the load never began")
		}
	}
	began := time.Now()
	if err := n.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	took := time.Since(began)
	running.Wait()
	if took > 8*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	judgeEnds(t, crowd)
	if ms := <-stream; ms < 1 || ms > 1001 {
		t.Errorf("the stream ended with retry %d", ms)
	}
	t.Logf("%d acks, %v to stop", all.Load(), took)
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	judgeAcks(t, n, crowd)
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if lines, err := n.faults(); err != nil || len(lines) > 0 {
		t.Errorf("%v %s", err, lines)
	}
}

// judgeEnds wants a 1012 and a time to come back for each, and not the same time for all.
func judgeEnds(t *testing.T, crowd []*leaver) {
	t.Helper()
	times := map[int64]bool{}
	for i, l := range crowd {
		if code := websocket.CloseStatus(l.end); code != websocket.StatusServiceRestart {
			t.Errorf("client %d ended with %v, want close 1012", i, l.end)
		}
		if l.retryMS < 1 || l.retryMS > 1001 {
			t.Errorf("client %d is to come back in %d ms", i, l.retryMS)
		}
		times[l.retryMS] = true
	}
	if len(times) < leavers/2 {
		t.Errorf("%d clients come back at %d times", leavers, len(times))
	}
}

// judgeAcks wants every acknowledged event in the log, once, where its ack said.
func judgeAcks(t *testing.T, n *node, crowd []*leaver) {
	t.Helper()
	token, err := n.token("judge")
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]int64{}
	for i := range rooms {
		if err := readAll(t.Context(), n, token, roomName(i), stored); err != nil {
			t.Fatal(err)
		}
	}
	for i, l := range crowd {
		for tag, seq := range l.acked {
			if stored[tag] != seq {
				t.Errorf("client %d: %s was acknowledged at %d and is at %d", i, tag, seq, stored[tag])
			}
		}
	}
}

// readAll notes the seqs of a room's events by their tags. A tag that is there twice, or a seq that does not
// follow, is an error.
func readAll(ctx context.Context, n *node, token, id string, stored map[string]int64) error {
	for at, head := int64(0), int64(1); at < head; {
		r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%d&limit=500", n.addr, id, at), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		var p struct {
			Head   int64
			Events []struct {
				Seq int64
				Tag string
			}
		}
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&p), resp.Body.Close())
		if err != nil {
			return err
		}
		head = p.Head
		for _, e := range p.Events {
			if at++; e.Seq != at || stored[e.Tag] != 0 {
				return fmt.Errorf("%s: seq %d (tag at %d before) where %d was due", id, e.Seq, stored[e.Tag], at)
			}
			stored[e.Tag] = e.Seq
		}
		if len(p.Events) == 0 && at < head {
			return fmt.Errorf("%s: nothing after %d of %d", id, at, head)
		}
	}
	return nil
}

// openStream follows a room by server-sent events and gives the last retry that it was told, once it ended.
func openStream(t *testing.T, n *node) <-chan int64 {
	t.Helper()
	token, err := n.token("reader")
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.addr+"/v1/sse?room="+roomName(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	last := make(chan int64, 1)
	go func() {
		defer resp.Body.Close()
		retry, told := int64(-1), 0
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if ms, ok := strings.CutPrefix(lines.Text(), "retry: "); ok {
				retry, _ = strconv.ParseInt(ms, 10, 64)
				told++
			}
		}
		if told < 2 { // the first is of its beginning
			retry = -1
		}
		last <- retry
	}()
	return last
}
