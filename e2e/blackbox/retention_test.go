package blackbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// described is what the API says of a room, or of a position that cannot be continued.
type described struct {
	Epoch, Code, Reason, Position string
	Floor, Head, Prev, Seq        int64
	Duplicate, Deleted            bool
	Events                        []struct{ Seq int64 }
}

// kept waits until a room keeps its events from floor on, for as long as a test may take.
func (s *server) kept(room string, floor int64) {
	s.t.Helper()
	var d described
	for range 600 {
		if _, err := s.call("u1", "GET", "/v1/rooms/"+room, nil, &d); err != nil || d.Floor > floor {
			s.t.Fatalf("RET-1: the floor of %s is %d, not %d: %v", room, d.Floor, floor, err)
		}
		if d.Floor == floor {
			return
		}
		time.Sleep(50 * time.Millisecond) // between two questions
	}
	s.t.Fatalf("RET-1: the floor of %s stays at %d, below %d", room, d.Floor, floor)
}

// configure puts another configuration in place of a server's, at once: it may still be reading the one before.
func (s *server) configure(path, every, kinds string) {
	s.t.Helper()
	must(s.t, os.WriteFile(path+".next", []byte("retention-every: "+every+"\nkinds: "+kinds+"\n"), 0o600))
	must(s.t, os.Rename(path+".next", path))
}

// fill sends n events to a room and gives the tag of the first.
func (s *server) fill(room string, n int) (first string) {
	s.t.Helper()
	for i := range n {
		tag := uuid.NewString()
		if status := s.post(room, tag, i); status != http.StatusCreated {
			s.t.Fatalf("send %d: status %d", i, status)
		}
		if first == "" {
			first = tag
		}
	}
	return first
}

func (s *server) post(room, tag string, n int) int {
	s.t.Helper()
	return s.send("u1", room, tag, n)
}

// send sends an event until it is known what became of it, as clients do, and gives the status: a disk that others use as
// well may stand still for longer than a send waits (ACK-5).
func (s *server) send(user, room, tag string, n int) int {
	s.t.Helper()
	body := fmt.Appendf(nil, `{"tag":%q,"type":"message","data":%d}`, tag, n)
	for again, end := false, time.Now().Add(patience); ; again = true {
		var got struct{ Code string }
		status, err := s.call(user, "POST", "/v1/rooms/"+room+"/events", body, &got)
		must(s.t, err)
		switch {
		case again && status == http.StatusOK:
			return http.StatusCreated
		case got.Code != "outcome_unknown" && got.Code != "unavailable" || time.Now().After(end):
			return status
		}
		time.Sleep(20 * time.Millisecond) // before it asks again
	}
}

func (s *server) metric(name string) string {
	s.t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	must(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	s.t.Fatalf("no metric %s", name)
	return ""
}

// RET-1, RET-2, RET-4, TAG-7: rooms are pruned by the policy of their kind while they are followed, a changed
// policy is taken on SIGHUP, for rooms that exist, and tags outlive their events, through a restart.
func TestRetention(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	data := t.TempDir()
	file := filepath.Join(data, "roomlog.yaml")
	s := &server{t: t}
	s.configure(file, "100ms", "{chat: {retention: {events: 50}}, free: {}}")
	s = start(t, data, "--config", file)
	first := s.fill("chat:a", 40)
	var early described
	_, err := s.call("u1", "GET", "/v1/rooms/chat:a/events?after=0&limit=20", nil, &early)
	must(t, err)
	if early.Floor != 1 || early.Seq != 20 {
		t.Fatalf("RET-1: of 50 that are kept: %+v", early)
	}
	s.fill("chat:a", 80)
	s.fill("free:a", 60)
	s.kept("chat:a", 71)

	for after, want := range map[string]described{
		"0": {Code: "reset", Reason: "pruned", Floor: 71, Head: 120}, early.Position: {Code: "reset", Reason: "pruned", Floor: 71, Head: 120},
		"69": {Code: "reset", Reason: "pruned", Floor: 71, Head: 120}, "70": {Floor: 71, Head: 120, Prev: 70, Seq: 120},
	} {
		var got described
		_, err := s.call("u1", "GET", "/v1/rooms/chat:a/events?limit=500&after="+after, nil, &got)
		must(t, err)
		if events := int64(len(got.Events)); events != want.Seq-want.Prev {
			t.Errorf("I12: after %s there are %d events", after, events)
		}
		got.Epoch, got.Position, got.Events = "", "", nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("I12: after %s: %+v, not %+v", after, got, want)
		}
	}

	c := s.dial(ctx, "u2")
	must(t, c.Write(ctx, websocket.MessageText, []byte(`{"op":"join","id":1,"room":"chat:a"}`)))
	expect(t, ctx, c, "joined", 0)
	s.configure(file, "100ms", "{chat: {retention: {events: 10}}, free: {}}")
	must(t, s.cmd.Process.Signal(syscall.SIGHUP))
	s.kept("chat:a", 111)
	s.fill("chat:a", 1)
	expect(t, ctx, c, "page", 121) // not a reset: it stood at the head
	s.kept("chat:a", 112)
	s.kept("free:a", 1)
	if n := s.metric("roomlog_pruned_events_total"); n != "111" {
		t.Errorf("%s events pruned", n)
	}
	checkFirst := func() {
		t.Helper()
		var again described
		status, err := s.call("u1", "POST", "/v1/rooms/chat:a/events", fmt.Appendf(nil, `{"tag":%q,"type":"message","data":0}`, first), &again)
		if must(t, err); status != http.StatusOK || !again.Duplicate || again.Seq != 1 {
			t.Errorf("TAG-7: the repeat of a pruned event: %d %+v", status, again)
		}
		if status := s.post("chat:a", first, 7); status != http.StatusConflict {
			t.Errorf("TAG-4: another event with the tag of a pruned one: %d", status)
		}
	}
	checkFirst()
	s.stop()
	s.configure(file, "1h", "{chat: {retention: {events: 10}}, free: {}}")
	s = start(t, data, "--config", file)
	s.kept("chat:a", 112)
	checkFirst()
	s.configure(file, "1h", "{chat: {retention: {events: 10}}, free: {retention: {events: 5}}}")
	must(t, s.cmd.Process.Signal(syscall.SIGHUP))
	s.kept("free:a", 56) // within the hour
}

// RET-3, ROOM-10: a room is deleted under its readers and while it is sent to; every ack is of the room before
// or of the room after.
func TestDeletion(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := start(t, t.TempDir())
	first := s.fill("chat:a", 20)
	reader, sender := s.dial(ctx, "u2"), s.dial(ctx, "u3")
	must(t, reader.Write(ctx, websocket.MessageText, []byte(`{"op":"join","id":1,"room":"chat:a"}`)))
	expect(t, ctx, reader, "joined", 0)
	const sends = 300
	acks := make(chan map[string]map[int64]bool, 1)
	half := make(chan struct{})
	go func() {
		got := map[string]map[int64]bool{}
		for i := range sends {
			f, err := readDescribed(ctx, sender)
			if err != nil || f.Op != "ack" {
				t.Errorf("answer %d: %+v, %v", i, f, err)
				break
			}
			if got[f.Epoch] == nil {
				got[f.Epoch] = map[int64]bool{}
			}
			if got[f.Epoch][f.Seq] {
				t.Errorf("I4: %s/%d is acked twice", f.Epoch, f.Seq)
			}
			got[f.Epoch][f.Seq] = true
			if i == sends/3 {
				close(half)
			}
		}
		acks <- got
	}()
	go func() {
		for n := 1; n <= sends; n++ {
			text := fmt.Appendf(nil, `{"op":"send","id":%d,"n":%[1]d,"room":"chat:a","tag":%q,"type":"message","data":%[1]d}`, n, uuid.NewString())
			if sender.Write(ctx, websocket.MessageText, text) != nil {
				return
			}
		}
	}()
	<-half
	var gone described
	status, err := s.call("u1", "DELETE", "/v1/rooms/chat:a", nil, &gone)
	if must(t, err); status != http.StatusOK || !gone.Deleted || gone.Head != 0 || gone.Floor != 1 {
		t.Fatalf("ROOM-10: %d %+v", status, gone)
	}
	got := <-acks
	if len(got) > 2 || len(got) == 2 && got[gone.Epoch] == nil {
		t.Errorf("ROOM-10: acks of the epochs %v", len(got))
	}
	after := got[gone.Epoch]
	for seq := range int64(len(after)) {
		if !after[seq+1] {
			t.Errorf("ROOM-5: %d acks of the room after, none of seq %d", len(after), seq+1)
		}
	}
	for { // pages of the room before, then the reset
		f, err := readDescribed(ctx, reader)
		must(t, err)
		if f.Op == "reset" {
			if f.Reason != "epoch" || f.Epoch != gone.Epoch {
				t.Errorf("RET-3: %+v", f)
			}
			break
		}
		if f.Op == "page" && f.Epoch == gone.Epoch {
			t.Fatalf("RET-3: a page of the room after before the reset: %+v", f)
		}
	}
	if seqs := s.log("chat:a"); len(seqs) != len(after) {
		t.Errorf("ROOM-10: the room after has %d events, %d were acked", len(seqs), len(after))
	}
	if status := s.post("chat:a", first, 0); status != http.StatusCreated {
		t.Errorf("ROOM-10: a send of the room before is repeated: %d", status)
	}
	if n := s.metric("roomlog_deleted_rooms_total"); n != "1" {
		t.Errorf("%s rooms deleted", n)
	}
}

type describedFrame struct {
	Op string
	described
}

func readDescribed(ctx context.Context, c *websocket.Conn) (f describedFrame, err error) {
	_, text, err := c.Read(ctx)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(text, &f)
}

// expect reads the next frame but pings, and fails unless it is of op and, where seq is not 0, of that seq.
func expect(t *testing.T, ctx context.Context, c *websocket.Conn, op string, seq int64) {
	t.Helper()
	for {
		f, err := readDescribed(ctx, c)
		must(t, err)
		if f.Op == "ping" {
			continue
		}
		if f.Op != op || seq != 0 && f.Seq != seq {
			t.Fatalf("%+v, not %s %d", f, op, seq)
		}
		return
	}
}
