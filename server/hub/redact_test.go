package hub

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// redacting is a store in memory whose messages are deleted: what was read before stays as it was read. It judges no more
// than these tests need.
type redacting struct{ *model }

func (c redacting) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	if c.onAppend != nil {
		c.onAppend(ctx, batch)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.append(batch)
	for i, s := range batch {
		if v := &out.Verdicts[i]; s.Change != nil && !v.Duplicate {
			v.Target = s.Change.Target
			c.change(s, *v)
		}
	}
	return out, nil
}

// change keeps what a stored change did. The caller holds the lock.
func (c redacting) change(s room.Send, v room.Verdict) {
	l := c.log(s.Room)
	l.events = slices.Clone(l.events)
	e := &l.events[v.Seq-1]
	e.Target = s.Change.Target
	if d, is := e.Deletion(); is {
		l.events = d.Redact(l.events)
	}
}

// canary is what is in what is deleted, and in nothing else.
const canary = "canary"

func changeOf(typ string, target room.Seq, data string) room.Send {
	return room.Send{Room: "chat:a", Author: "ann", Tag: newTag(), Type: typ, Data: []byte(data), Change: &room.Change{Target: target, Own: true}}
}

func deleteOf(target room.Seq) room.Send {
	return changeOf(room.TypeDelete, target, fmt.Sprintf(`{"target":%d}`, target))
}

// aviary is a room of 1000 events of which one is a canary, and so are its edits, the next event and that at 990. Event 100 is
// another's edit.
func aviary(at room.Seq) redacting {
	c := redacting{newModel()}
	c.grow("chat:a", 1000)
	l := c.log("chat:a")
	for _, seq := range []room.Seq{at, at + 1, 990} {
		l.events[seq-1].Data = []byte(`{"text":"` + canary + `"}`)
	}
	for seq, target := range map[room.Seq]room.Seq{at + 1: at, 990: at, 100: 99} {
		l.events[seq-1].Type, l.events[seq-1].Target = room.TypeEdit, target
	}
	return c
}

// witness is a peer that keeps what it is given, in adjoining pages.
type witness struct {
	*peer
	conn *Conn
	at   room.Seq
	got  []string // the events
}

func newWitness(t *testing.T, h *Hub, f wire.Framing) *witness {
	t.Helper()
	w := &witness{at: -1}
	w.peer = newPeer(f, w.see)
	conn, err := h.Attach(w.peer, f)
	if err != nil {
		t.Fatal(err)
	}
	w.conn = conn
	t.Cleanup(conn.Detach)
	return w
}

func (w *witness) see(f frame) error {
	if f.Op == "reset" || f.Reset != nil {
		return fmt.Errorf("I8: a reset, %s", f.Reason)
	}
	page := &f
	if f.Page != nil {
		page = f.Page
	}
	if f.Op != "page" && f.Page == nil {
		return nil
	}
	if w.at >= 0 && page.Prev != w.at {
		return fmt.Errorf("I8: a page after %d, at %d", page.Prev, w.at)
	}
	for i, e := range page.Events {
		if due := fmt.Sprintf(`{"room":"chat:a","seq":%d,`, page.Prev+room.Seq(i)+1); !strings.HasPrefix(string(e), due) {
			return fmt.Errorf("I4: %s where %s was due", e, due)
		}
		w.got = append(w.got, string(e))
	}
	w.at = page.Seq
	return nil
}

// enter follows the room from behind a seq.
func (w *witness) enter(t *testing.T, after room.Seq) {
	t.Helper()
	j := Join{Room: "chat:a", Position: room.Position{Seq: after}, HasPosition: true, Replay: -1}
	var err error
	if w.framing == wire.EventStream {
		err = w.conn.Follow(t.Context(), []Join{j}, func([]Followed) []byte { return nil })
	} else {
		err = w.conn.Join(t.Context(), j, func(out Joined) []byte {
			return wire.AppendText(nil, wire.Joined{
				Page: wire.Page{Room: j.Room, Epoch: out.Head.Epoch, Prev: out.Prev, Seq: out.Seq, Mark: out.Mark},
				Head: out.Head.Seq, Floor: out.Head.Floor, Reset: out.Reset, Events: out.Events,
			}.Append(nil))
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *witness) reach(t *testing.T, seq room.Seq) {
	t.Helper()
	w.wait(t, fmt.Sprintf("an event at %d", seq), func() bool { return w.at >= seq })
}

// clean fails where text has something of what was deleted.
func clean(t *testing.T, who, text string) {
	t.Helper()
	if strings.Contains(text, canary) {
		t.Errorf("CHG-7: %s is given what was deleted", who)
	}
}

// inMemoryHas reports whether the tail of a room holds a text.
func inMemoryHas(h *Hub, id room.ID, text string) bool {
	r := h.live(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.segments {
		for f := range s.frames {
			if bytes.Contains(s.frames[f].bytes, []byte(text)) {
				return true
			}
		}
	}
	return false
}

// TestDeleteIsForgotten holds CHG-7 and CHG-8: however the node hears of a delete, from then on it gives nobody anything of the
// message from memory, nor of its edits; those who are at the head are given the event and nothing else happens to them.
func TestDeleteIsForgotten(t *testing.T) {
	for name, remove := range map[string]func(t *testing.T, h *Hub, store redacting){
		"by a send of this node": func(t *testing.T, h *Hub, _ redacting) {
			if o := submit(h, Submit{Send: deleteOf(880)}); o.Err != nil || o.Verdict.Target != 880 {
				t.Fatalf("%+v", o)
			}
		},
		"by a hint of another": func(_ *testing.T, h *Hub, store redacting) {
			before := store.headOf("chat:a")
			_, _ = store.Append(context.Background(), []room.Send{deleteOf(880)})
			g := room.Growth{Head: store.headOf("chat:a"), Before: before.Seq, BeforeMark: before.Mark}
			h.Hint(g, store.page(room.Query{Room: "chat:a", Seq: 1000, Limit: 1}).Events)
		},
		"by a head check": func(_ *testing.T, h *Hub, store redacting) {
			_, _ = store.Append(context.Background(), []room.Send{deleteOf(880)})
			h.CheckAll(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := aviary(880) // in the latest page, which is read first
			h := newHub(t, Config{Store: store})
			var live []*witness
			for _, f := range []wire.Framing{wire.WebSocket, wire.EventStream} {
				w := newWitness(t, h, f)
				w.enter(t, 0)
				w.reach(t, 1000)
				live = append(live, w)
			}
			slow := newWitness(t, h, wire.WebSocket)
			slow.give(4000) // it stops somewhere below the canary
			slow.enter(t, 0)
			slow.wait(t, "its fill", func() bool { return slow.space == 0 })
			if !inMemoryHas(h, "chat:a", canary) {
				t.Fatal("there is nothing to forget")
			}

			remove(t, h, store)
			for _, w := range live {
				w.reach(t, 1001)
				if last := w.got[len(w.got)-1]; !strings.Contains(last, `"type":"delete"`) || !strings.HasSuffix(last, `,"target":880}`) {
					t.Errorf("CHG-8: the last event is %s", last)
				}
			}
			if inMemoryHas(h, "chat:a", canary) {
				t.Error("CHG-7: memory has it still")
			}
			slow.give(-1)
			slow.reach(t, 1001)
			late := newWitness(t, h, wire.WebSocket)
			late.enter(t, 860)
			late.reach(t, 1001)
			clean(t, "who comes later", strings.Join(late.got, "\n"))
			clean(t, "who was slow", strings.Join(slow.got, "\n"))
			for after := room.Seq(0); after < 1001; {
				p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: after}, Limit: 50}, 0)
				if err != nil {
					t.Fatal(err)
				}
				clean(t, "a poll", string(p.Events))
				after = p.Seq
			}
			p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: 879}, Limit: 2}, 0)
			if err != nil || strings.Count(string(p.Events), `"data":null,`) != 2 || !strings.Contains(string(p.Events), `"target":880,"deleted":{"seq":1001,"by":"ann"`) {
				t.Errorf("CHG-7: what is left is %s, %v", p.Events, err)
			}
			if n := h.Stats().Forks; n != 0 {
				t.Errorf("%d forks", n)
			}
		})
	}
}

// TestReadsDuringADelete holds CHG-7 for what was read before the delete and comes after it: blocks of who is behind, and pages of
// history.
func TestReadsDuringADelete(t *testing.T) {
	for name, deletes := range map[string]int{"one": 1, "as many as are kept": maxDeletions, "more": maxDeletions + 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := aviary(850)
				h := New(Config{Store: store, CheckEvery: time.Hour})
				h.Start()
				defer stop(t, h)
				if _, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: 1000}}, 0); err != nil { // the last block is in memory
					t.Fatal(err)
				}
				release := make(chan struct{})
				store.onRead = func(context.Context, room.Query) error { <-release; return nil }
				pages := make(chan Page, 4)
				ask := func(read func() (Page, error)) {
					go func() {
						p, err := read()
						if err != nil {
							t.Error(err)
						}
						pages <- p
					}()
				}
				ask(func() (Page, error) {
					return h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: 840}}, 0)
				})
				ask(func() (Page, error) {
					return h.History(t.Context(), room.Query{Room: "chat:a", Anchor: room.Around, Seq: 850, Limit: 20}, 0)
				})
				ask(func() (Page, error) {
					return h.History(t.Context(), room.Query{Room: "chat:a", Anchor: room.Before, Seq: 860, Limit: 20, Present: true}, 0)
				})
				ask(func() (Page, error) {
					e, err := h.EventAt(t.Context(), "chat:a", 850)
					return Page{Events: e.Data, Count: 1}, err
				})
				synctest.Wait() // the snapshots are taken
				if o := submit(h, Submit{Send: deleteOf(850)}); o.Err != nil {
					t.Fatal(o.Err)
				}
				for i := range deletes - 1 {
					if o := submit(h, Submit{Send: deleteOf(room.Seq(i + 1))}); o.Err != nil {
						t.Fatal(o.Err)
					}
				}
				close(release)
				for range 4 {
					p := <-pages
					clean(t, fmt.Sprintf("(%d, %d]", p.Prev, p.Seq), string(p.Events))
					if p.Count == 0 {
						t.Error("nothing was given")
					}
				}
				if inMemoryHas(h, "chat:a", canary) {
					t.Error("CHG-7: it came back into memory")
				}
			})
		})
	}
}

// A message that is stored and deleted by one batch is given to nobody, here or elsewhere, and both sends are acked.
func TestDeletedInTheBatchThatStoresIt(t *testing.T) { // CHG-2, CHG-7
	store := redacting{newModel()}
	gate, begun := make(chan struct{}), make(chan struct{}, 4)
	store.onAppend = func(context.Context, []room.Send) fault { begun <- struct{}{}; <-gate; return fault{} }
	link := &told{}
	h := newHub(t, Config{Store: store, Link: link})
	w := newWitness(t, h, wire.WebSocket)
	w.enter(t, 0)
	first := send("chat:a")
	message := send("chat:a")
	message.Data = []byte(`"` + canary + `"`)
	edit := changeOf(room.TypeEdit, 2, `{"target":2,"data":"`+canary+`"}`)
	outcomes := make(chan Outcome, 4)
	for i, s := range []room.Send{first, message, edit, deleteOf(2)} { // the first is in flight while the others gather
		h.Submit(Submit{Send: s, Conn: w.conn, N: int64(i + 1)}, func(o Outcome) { outcomes <- o })
		if i == 0 {
			<-begun
		}
	}
	close(gate)
	for range 4 {
		if o := <-outcomes; o.Err != nil {
			t.Errorf("%+v", o)
		}
	}
	w.reach(t, 4)
	clean(t, "who follows", strings.Join(w.got, "\n"))
	link.mu.Lock()
	defer link.mu.Unlock()
	if len(link.events) != 4 || link.events[3].Target != 2 || link.events[1].Gone == nil {
		t.Errorf("other nodes are told %+v", link.events)
	}
	for _, e := range link.events {
		clean(t, "another node", string(e.Data))
	}
}

// told is a link that keeps what it is told.
type told struct {
	mu     sync.Mutex
	events []room.Event
}

func (l *told) Follow(context.Context, room.ID) {}
func (l *told) Unfollow(room.ID)                {}
func (l *told) Changed(room.Head)               {}
func (l *told) Appended(_ room.Growth, events []room.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
}
