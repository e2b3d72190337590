package signals

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
)

const hall room.ID = "chat:hall"

// node is the signals of a node, and a reader on it.
type node struct {
	*Signals
	t    *testing.T
	name string

	mu     sync.Mutex
	view   map[string]value
	shows  int
	values int
	lost   func(m message) bool // what the bus loses of what it says
}

// inBubble runs a test with nodes that hear each other, all of which read the hall.
func inBubble(t *testing.T, nodes int, do func(t *testing.T, nodes []*node)) {
	synctest.Test(t, func(t *testing.T) {
		var all []*node
		for i := range nodes {
			n := &node{t: t, name: fmt.Sprint(i), view: map[string]value{}}
			n.Signals = New(Config{Show: n.show, Say: func(id room.ID, body []byte) {
				var m message
				if err := json.Unmarshal(body, &m); err != nil {
					t.Error(err)
				}
				if n.lost != nil && n.lost(m) {
					return
				}
				for _, to := range all {
					if to != n {
						time.AfterFunc(time.Millisecond, func() { to.Hear(n.name, id, body) })
					}
				}
			}})
			all = append(all, n)
		}
		for _, n := range all {
			n.Start()
			n.Needed(hall)
		}
		settle()
		do(t, all)
		for _, n := range all {
			if err := n.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		settle()
	})
}

// settle lets the bubble's clock run until nothing is under way.
func settle() { sleep(100 * time.Millisecond) }

func (n *node) show(_ room.ID, u Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shows++
	if u.Whole {
		clear(n.view)
	}
	for _, v := range u.Set {
		n.values++
		delete(n.view, v.Key)
		if v.JSON == nil {
			continue
		}
		var is value
		if err := json.Unmarshal(v.JSON, &is); err != nil || is.id() != v.Key {
			n.t.Errorf("%s is shown as %s: %v", v.Key, v.JSON, err)
		}
		n.view[v.Key] = is
	}
}

func (n *node) shown() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.shows
}

func (n *node) sees(want map[string]string) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	got := map[string]string{}
	for key, v := range n.view {
		got[key] = string(v.Data)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		n.t.Errorf("node %s sees %v, want %v", n.name, got, want)
	}
}

func (n *node) set(connection, typ, key, data string) {
	n.t.Helper()
	if err := n.Set(hall, connection, typ, key, []byte(data)); err != nil {
		n.t.Errorf("%s %s: %v", connection, typ, err)
	}
}

type said = map[string]string

// The latest of a connection, type and key is what everybody is given, on all nodes (SIG-1, SIG-2).
func TestLatestWins(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, nodes []*node) {
		a, b := nodes[0], nodes[1]
		a.Came(hall, 1, "c1", "u1")
		b.Came(hall, 2, "c2", "u2")
		for i := range 40 {
			a.set("c1", "cursor", "", fmt.Sprintf(`{"x": %d}`, i))
		}
		a.set("c1", "cursor", "pen", `1`)
		b.set("c2", "cursor", "", `2`)
		settle()
		for _, n := range nodes {
			n.sees(said{"c1 cursor ": `{"x":39}`, "c1 cursor pen": "1", "c2 cursor ": "2"})
			n.mu.Lock()
			if n.values > 5 {
				t.Errorf("%d values were shown of what came at once", n.values)
			}
			n.mu.Unlock()
		}
		a.set("c1", "cursor", "pen", `null`)
		settle()
		b.Went(hall, 2, "c2")
		settle()
		for _, n := range nodes {
			n.sees(said{"c1 cursor ": `{"x":39}`})
		}
		sleep(time.Minute) // a still cursor stays
		for _, n := range nodes {
			n.sees(said{"c1 cursor ": `{"x":39}`})
		}
	})
}

// Typing ends 6 s after the last one, with a send, with leave (SIG-4).
func TestTypingEnds(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, nodes []*node) {
		a, b := nodes[0], nodes[1]
		a.Came(hall, 1, "c1", "u1")
		both := func(want said) {
			t.Helper()
			settle()
			a.sees(want)
			b.sees(want)
		}
		types := said{"c1 typing ": "true"}
		a.set("c1", Typing, "", "true")
		sleep(5 * time.Second)
		a.set("c1", Typing, "", "true")
		sleep(5 * time.Second)
		both(types)
		sleep(time.Second)
		both(nil)
		a.set("c1", Typing, "", "true")
		both(types)
		a.Sent(hall, "c1")
		both(nil)
		a.set("c1", Typing, "", "true")
		both(types)
		a.Went(hall, 1, "c1")
		both(nil)
	})
}

// Nothing is stuck where the last message was lost, or its node was killed (SIG-4, SIG-5).
func TestLastMessageLost(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, nodes []*node) {
		a, b := nodes[0], nodes[1]
		a.Came(hall, 1, "c1", "u1")
		a.set("c1", Typing, "", "true")
		a.set("c1", "cursor", "", "1")
		settle()
		b.sees(said{"c1 typing ": "true", "c1 cursor ": "1"})
		a.lost = func(message) bool { return true }
		a.Went(hall, 1, "c1")
		sleep(typingLife)
		b.sees(said{"c1 cursor ": "1"})
		sleep(farLife)
		b.sees(nil)
	})
}

// A message that comes late says nothing (SIG-5).
func TestLateMessage(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, nodes []*node) {
		a, b := nodes[0], nodes[1]
		a.Came(hall, 1, "c1", "u1")
		var late []byte
		a.lost = func(m message) bool {
			if late == nil && len(m.Set) > 0 {
				late, _ = json.Marshal(m)
			}
			return false
		}
		a.set("c1", Typing, "", "true")
		settle()
		a.Sent(hall, "c1")
		settle()
		b.Hear(a.name, hall, late)
		settle()
		b.sees(nil)
	})
}

// Who comes later is given what there is (SIG-2).
func TestReadersThatComeLater(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, nodes []*node) {
		a, b := nodes[0], nodes[1]
		b.Unneeded(hall)
		a.Came(hall, 1, "c1", "u1")
		a.set("c1", "cursor", "", "1")
		settle()
		b.Needed(hall)
		settle()
		b.sees(said{"c1 cursor ": "1"})
		b.Unneeded(hall)
		a.Went(hall, 1, "c1")
		a.Unneeded(hall)
		settle()
		for _, n := range nodes {
			if _, due := n.agenda.First(); len(n.rooms)+len(n.sources) != 0 || !due.IsZero() {
				t.Errorf("something is kept: %v %v, or due: %v", n.rooms, n.sources, due)
			}
		}
	})
}

// The same connection joins again: what it signals goes on.
func TestJoinsAgain(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, nodes []*node) {
		a := nodes[0]
		a.Came(hall, 1, "c1", "u1")
		a.set("c1", "cursor", "", "1")
		a.Came(hall, 2, "c1", "u1")
		a.Went(hall, 1, "c1")
		settle()
		a.sees(said{"c1 cursor ": "1"})
		a.Went(hall, 2, "c1")
		settle()
		a.sees(nil)
	})
}

// SIG-3, SIG-6
func TestRefuses(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, nodes []*node) {
		a := nodes[0]
		a.Came(hall, 1, "c1", "u1")
		refuses := func(want room.Code, connection, typ, key, data string) {
			t.Helper()
			err := a.Set(hall, connection, typ, key, []byte(data))
			if err == nil || room.AsError(err).Code != want {
				t.Errorf("%s %s %.20s %.20s: %v, want %s", connection, typ, key, data, err, want)
			}
		}
		refuses(room.CodeBadRequest, "c2", "cursor", "", "1")
		refuses(room.CodeBadType, "c1", "Cursor", "", "1")
		refuses(room.CodeBadRequest, "c1", "cursor", strings.Repeat("k", 65), "1")
		refuses(room.CodeBadRequest, "c1", "cursor", "a\nb", "1")
		refuses(room.CodeBadData, "c1", "cursor", "", "{")
		refuses(room.CodeBadData, "c1", "cursor", "", "")
		refuses(room.CodeMessageTooLarge, "c1", "cursor", "", `"`+strings.Repeat("x", 2047)+`"`)
		a.set("c1", "cursor", "", `"`+strings.Repeat("x", 2046)+`"`)
		for i := range 15 {
			a.set("c1", "cursor", fmt.Sprint(i), "1")
		}
		refuses(room.CodeLimitExceeded, "c1", "cursor", "more", "1")
		sleep(time.Minute)
		for range 120 {
			a.set("c1", "cursor", "", "1")
		}
		refuses(room.CodeRateLimited, "c1", "cursor", "", "1")
		sleep(100 * time.Millisecond) // 60 a second
		for range 6 {
			a.set("c1", "cursor", "", "1")
		}
		refuses(room.CodeRateLimited, "c1", "cursor", "", "1")
	})
}

// 30 cursors of 20 updates a second are 40 updates a second for each reader at most (SIG-2).
func TestCursorsAreGathered(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, nodes []*node) {
		for i := range 30 {
			nodes[i%2].Came(hall, i+1, fmt.Sprint("c", i), fmt.Sprint("u", i))
		}
		before := nodes[0].shown()
		for tick := range 20 {
			for i := range 30 {
				nodes[i%2].set(fmt.Sprint("c", i), "cursor", "", fmt.Sprint(tick))
			}
			sleep(50 * time.Millisecond)
		}
		settle()
		nodes[0].mu.Lock()
		defer nodes[0].mu.Unlock()
		for _, v := range nodes[0].view {
			if string(v.Data) != "19" {
				t.Errorf("%s stands at %s", v.id(), v.Data)
			}
		}
		if n := nodes[0].shows - before; len(nodes[0].view) != 30 || n > 41 {
			t.Errorf("%d cursors in %d updates", len(nodes[0].view), n)
		}
	})
}

// sleep lets the bubble's clock run, and waits until all that came due is done.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// What is passed on is counted, at the node that says it and at those that hear of it.
func TestSignalsAreCounted(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, nodes []*node) {
		a, b := nodes[0], nodes[1]
		was, heard := a.Stats(), b.Stats()
		a.Came(hall, "one", "c1", "u1")
		a.set("c1", "cursor", "", `1`)
		settle()
		if s := a.Stats(); s.Alive != 1 || s.Taken != was.Taken+1 || s.Said != was.Said+1 || s.Shown != was.Shown+1 {
			t.Errorf("%+v after %+v", s, was)
		}
		if s := b.Stats(); s.Alive != 1 || s.Taken != heard.Taken || s.Heard != heard.Heard+1 || s.Shown != heard.Shown+1 {
			t.Errorf("%+v after %+v", s, heard)
		}
		if err := a.Set(hall, "c1", "cursor", "", []byte("null")); err != nil {
			t.Fatal(err)
		}
		settle()
		if s := a.Stats(); s.Alive != 0 || s.Taken != was.Taken+2 {
			t.Errorf("%+v after %+v", s, was)
		}
	})
}
