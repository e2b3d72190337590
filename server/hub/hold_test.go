package hub

import (
	"context"
	"strings"
	"sync"
	"testing"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// writes is a sink that keeps each write apart.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) TryWrite(bufs [][]byte) (n int, err error) {
	var text strings.Builder
	for _, b := range bufs {
		text.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text.String())
	return text.Len(), nil
}

func (w *writes) WriteAll(p []byte) error { _, err := w.TryWrite([][]byte{p}); return err }
func (w *writes) Close(*room.Error)       {}

func (w *writes) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.all...)
}

// What a connection is given between Hold and Flush is one write, in its order. A join is at once where memory
// has what it asks for, and nowhere else (JOIN-1).
func TestHeldAnswersAreOneWrite(t *testing.T) {
	h := newHub(t, Config{Store: newModel()})
	w := &writes{}
	c, err := h.Attach(w, wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	join := Join{Room: "chat:a"}
	encode := func(dst []byte, j Joined) []byte { return append(dst, "<joined "+string(j.Head.Room)+">"...) }
	if done, err := c.JoinAtOnce(join, encode); done || err != nil {
		t.Fatalf("a room that is not in memory: %v %v", done, err)
	}
	warm, err := h.Attach(newDrain(), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Detach()
	if err := warm.Join(context.Background(), join, func(Joined) []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	for _, p := range []room.Position{{Seq: 1}, {Epoch: "other", Seq: 0}} { // beyond the head, and of another room: not at once
		if done, err := c.JoinAtOnce(Join{Room: "chat:a", HasPosition: true, Position: p, Replay: -1}, encode); done || err != nil {
			t.Errorf("%+v: %v %v", p, done, err)
		}
	}
	c.Hold()
	c.Reply([]byte("<welcome>"))
	if done, err := c.JoinAtOnce(join, encode); !done || err != nil {
		t.Fatalf("a room in memory: %v %v", done, err)
	}
	c.Reply([]byte("<pong>"))
	if got := w.list(); len(got) != 0 {
		t.Errorf("held, and written: %q", got)
	}
	c.Flush()
	if got := w.list(); len(got) != 1 || got[0] != "<welcome><joined chat:a><pong>" {
		t.Errorf("written: %q", got)
	}
	c.Hold()
	c.Flush()
	if got := w.list(); len(got) > 1 {
		t.Errorf("nothing was held, and written: %q", got[1:])
	}
	if !c.Joined("chat:a") {
		t.Error("no cursor is there")
	}
}

// A permit that was taken back is asked for a join at once as for any.
func TestAJoinAtOnceIsRefused(t *testing.T) {
	h := newHub(t, Config{Store: newModel()})
	w := &writes{}
	c, err := h.Attach(w, wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	if err := c.Join(context.Background(), Join{Room: "chat:a"}, func(Joined) []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	c.Leave("chat:a")
	r := h.live("chat:a")
	c.Hold()
	done, err := c.JoinAtOnce(Join{Room: "chat:a", Permit: never{}}, func(dst []byte, _ Joined) []byte { return append(dst, "joined"...) })
	c.Flush()
	if !done || room.AsError(err).Code != room.CodeForbidden || c.Joined("chat:a") {
		t.Errorf("%v %v", done, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.idle() {
		t.Error("its cursor is left in the room")
	}
	for _, text := range w.list() {
		if text != "" {
			t.Errorf("written: %q", text)
		}
	}
}

// never permits nothing.
type never struct{}

func (never) Permits(room.ID) *room.Error { return &room.Error{Code: room.CodeForbidden, Title: "No."} }

// keeper is a full peer: it has what it is given for as long as it likes.
type keeper struct{ has []byte }

func (k *keeper) TryWrite([][]byte) (int, error) { return 0, nil }
func (k *keeper) WriteAll(p []byte) error        { k.has = p; return nil }
func (k *keeper) Close(*room.Error)              {}

// Flush takes a buffer back when the connection has no replies any more. Those that a peer takes while it is bidden
// farewell are not in that buffer: it is another connection's by then.
func TestAFarewellIsACopy(t *testing.T) {
	k := &keeper{}
	c := &Conn{sink: k, replies: append(pageBuffer(), "the last acks"...)}
	buffer := c.replies
	c.mu.Lock()
	c.farewell()
	c.mu.Unlock()
	if c.replies != nil {
		t.Fatal("there are replies after the farewell")
	}
	copy(buffer, "a page of another")
	if string(k.has) != "the last acks" {
		t.Errorf("the peer is given %q", k.has)
	}
}
