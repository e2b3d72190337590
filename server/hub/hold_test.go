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

// full is a sink that is full from the first byte on: what it takes it takes by WriteAll, one let at a time.
type full struct {
	begun chan []byte   // what is written, while it is
	let   chan struct{} // lets it end
}

func (f *full) TryWrite([][]byte) (int, error) { return 0, nil }
func (f *full) WriteAll(p []byte) error        { f.begun <- p; <-f.let; return nil }
func (f *full) Close(*room.Error)              {}

// A hub that stops writes the last replies of a full connection without its lock (CLOSE-7): their buffer is not
// another's page meanwhile, also where the reader flushes just then.
func TestTheBufferOfAFarewellIsNotUsedAgain(t *testing.T) {
	h := newHub(t, Config{Store: newModel()})
	f := &full{begun: make(chan []byte), let: make(chan struct{})}
	c, err := h.Attach(f, wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	warm, err := h.Attach(newDrain(), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Detach()
	if err := warm.Join(context.Background(), Join{Room: "chat:a"}, func(Joined) []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	c.Reply([]byte("<welcome>"))
	<-f.begun // the connection is stalled
	c.Hold()
	if done, err := c.JoinAtOnce(Join{Room: "chat:a"}, func(dst []byte, _ Joined) []byte { return append(dst, "<joined>"...) }); !done || err != nil {
		t.Fatal(done, err)
	}
	c.part()
	var last []byte
	fresh := flushers.New
	defer func() { flushers.New = fresh }()
	var kept []any
	none := false
	for flushers.New = func() any { none = true; return fresh() }; !none; {
		kept = append(kept, flushers.Get())
	}
	flushers.New = func() any { // the flush below is on its way when the farewell begins
		f.let <- struct{}{}
		last = <-f.begun
		return fresh()
	}
	c.Flush()
	for range 64 {
		b := pageBuffer()
		kept = append(kept, append(b, "somebody else's page"...))
	}
	if string(last) != "<joined>" {
		t.Errorf("the last words became %q", last)
	}
	f.let <- struct{}{}
	_ = kept
}
