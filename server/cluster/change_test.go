package cluster

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
	"roomlog/server/wire"
)

// redacting is a store that nodes share, of which messages are deleted: what was read before stays as it was read.
type redacting struct{ *log }

func (s redacting) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	out, err := s.log.Append(ctx, batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, send := range batch {
		if err != nil || send.Change == nil || out.Verdicts[i].Duplicate {
			continue
		}
		v, l := &out.Verdicts[i], s.room(send.Room)
		v.Target = send.Change.Target
		l.events = slices.Clone(l.events)
		e := &l.events[v.Seq-1]
		e.Target = v.Target
		if d, is := e.Deletion(); is {
			l.events = d.Redact(l.events)
		}
	}
	return out, err
}

func sharing(w *world) func(*Config, *hub.Config) {
	return func(_ *Config, h *hub.Config) { h.Store = redacting{w.log} }
}

// canary is what is in what is deleted, and in nothing else.
const canary = "canary"

// submit appends by a node, waits for the ack and lets everybody hear of it.
func (m *member) submit(t *testing.T, n byte, typ, data string, target room.Seq) {
	t.Helper()
	send := room.Send{Room: roomA, Author: "ann", Tag: room.Tag{n}, Type: typ, Data: []byte(data)}
	if target != 0 {
		send.Change = &room.Change{Target: target, Own: true}
	}
	done := make(chan hub.Outcome, 1)
	m.hub.Submit(hub.Submit{Send: send}, func(o hub.Outcome) { done <- o })
	if o := <-done; o.Err != nil || o.Verdict.Target != target {
		t.Fatalf("%s: %+v", typ, o)
	}
}

// ear is a sink that keeps all that it is given.
type ear struct {
	mu   sync.Mutex
	text strings.Builder
}

func (e *ear) TryWrite(bufs [][]byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range bufs {
		e.text.Write(b)
		n += len(b)
	}
	return n, nil
}

func (e *ear) WriteAll(b []byte) error { _, err := e.TryWrite([][]byte{b}); return err }
func (e *ear) Close(*room.Error)       {}

func (e *ear) heard() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String()
}

// listen follows the room from its beginning.
func (m *member) listen(t *testing.T, f wire.Framing) *ear {
	t.Helper()
	e := &ear{}
	conn, err := m.hub.Attach(e, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Detach)
	if err := conn.Follow(t.Context(), []hub.Join{{Room: roomA, HasPosition: true, Replay: -1}}, func([]hub.Followed) []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	return e
}

// Three nodes have a message and its edit in their tails. Once its delete is acked and has come to the readers of a node, nothing
// of it is given by that node: to sockets, streams, polls or history, whether the hint came or was lost.
func TestRedactionAcrossNodes(t *testing.T) { // CHG-7, CHG-8
	for name, lost := range map[string]bool{"by a hint": false, "the hint is lost": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 60)
				nodes := []*member{w.join("a", sharing(w)), w.join("b", sharing(w)), w.join("c", sharing(w))}
				settle()
				var live []*ear
				for _, n := range nodes {
					live = append(live, n.listen(t, wire.EventStream))
				}
				settle()
				nodes[0].submit(t, 1, room.TypeMessage, `{"text":"`+canary+`"}`, 0)
				settle()
				nodes[1].submit(t, 2, room.TypeEdit, `{"target":1,"data":"`+canary+`"}`, 1)
				settle()
				nodes[2].submit(t, 3, room.TypeMessage, `"stays"`, 0)
				time.Sleep(3100 * time.Millisecond) // between two beats
				for i, e := range live {
					if n := strings.Count(e.heard(), canary); n != 2 {
						t.Fatalf("node %d gave it %d times before it was deleted", i, n)
					}
				}
				if lost {
					w.faults.Set(bustest.Rates{Drop: 1})
				}
				reads := w.log.reads[roomA]
				nodes[0].submit(t, 4, room.TypeDelete, `{"target":1}`, 1)
				settle()
				w.faults.Heal()
				within(t, time.Second, "the delete at every node", func() bool {
					return !slices.ContainsFunc(live, func(e *ear) bool { return !strings.Contains(e.heard(), `"type":"delete"`) })
				})
				if n := w.log.reads[roomA] - reads; n != 0 && !lost {
					t.Errorf("%d reads for who stands at the head", n)
				}
				for i, e := range live {
					if text := e.heard(); strings.Contains(text, "reset") || !strings.Contains(text, `"data":{"target":1},"target":1}`) {
						t.Errorf("I8, CHG-8: node %d gave %s", i, text)
					}
				}
				for _, n := range nodes {
					n.holdsNothing(t)
				}
			})
		})
	}
}

// holdsNothing asks a node for the room in every way there is.
func (m *member) holdsNothing(t *testing.T) {
	t.Helper()
	given := map[string]string{}
	for name, f := range map[string]wire.Framing{"a socket": wire.WebSocket, "a stream": wire.EventStream} {
		e := m.listen(t, f)
		settle()
		given[name] = e.heard()
	}
	poll, err := m.hub.Poll(t.Context(), hub.Join{Room: roomA}, 0)
	if err != nil {
		t.Fatal(err)
	}
	given["a poll"] = string(poll.Events)
	for name, q := range map[string]room.Query{
		"around": {Room: roomA, Anchor: room.Around, Seq: 1}, "before": {Room: roomA, Anchor: room.Before, Seq: 4, Present: true},
	} {
		p, err := m.hub.History(t.Context(), q, 0)
		if err != nil {
			t.Fatal(err)
		}
		given[name] = string(p.Events)
	}
	for name, text := range given {
		if strings.Contains(text, canary) || strings.Count(text, `"data":null`) != 2 || !strings.Contains(text, `"deleted":{"seq":4,"by":"ann"`) || !strings.Contains(text, "stays") {
			t.Errorf("CHG-7: %s of %s is given %s", name, m.cfg.Name, text)
		}
	}
}

// What a hint says of changes arrives whole or not at all; hints of other events are as nodes of before know them.
func TestHintsOfChanges(t *testing.T) {
	n := New(Config{Name: "a", Key: testKey, Cluster: "main"})
	at := time.UnixMicro(1700000000123456).UTC()
	event := func(seq room.Seq, typ string) room.Event {
		return room.Event{Seq: seq, Mark: room.Mark(seq), Type: typ, Author: "ann", Tag: room.Tag{byte(seq)}, At: at, Data: []byte(`{}`)}
	}
	events := []room.Event{event(7, "message"), event(8, "message"), event(9, "edit"), event(10, "delete")}
	g := room.Growth{Head: room.Head{Room: roomA, Epoch: "e1", Seq: 10, Mark: 10}, Before: 6, BeforeMark: 6}
	if plain := n.sayHint(g, events[:2]); kind(plain[1]) != kindHint || !reflect.DeepEqual(plain, appendHint(begin(kindHint, n.id), g, events[:2])) {
		t.Error("a hint without changes is not as it was")
	}
	events[1].Gone, events[1].Data = &room.Gone{Seq: 10, By: "bob", At: at}, room.NoData
	events[2].Target, events[2].Gone, events[2].Data = 8, events[1].Gone, room.NoData
	events[3].Target = 8
	message := n.sayHint(g, events)
	if kind(message[1]) != kindHintOfChanges {
		t.Fatalf("it is of kind %d", message[1])
	}
	body := message[headLen:]
	got, came, ok := readHintOfChanges(roomA, body)
	if !ok || got != g || !reflect.DeepEqual(came, events) {
		t.Errorf("%t, %+v\n%+v\nwant\n%+v", ok, got, came, events)
	}
	if _, _, ok := readHint(roomA, body); ok {
		t.Error("it reads as a hint of another kind")
	}
	for i := range body {
		if _, _, ok := readHintOfChanges(roomA, body[:i]); ok {
			t.Errorf("%d of %d bytes read as a whole hint", i, len(body))
		}
	}
	if _, _, ok := readHintOfChanges(roomA, append(slices.Clone(body), 0)); ok {
		t.Error("more than a hint reads as one")
	}
}
