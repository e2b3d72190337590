package hub

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// sideValue is the value of a key in these tests.
type sideValue struct {
	Key string `json:"key"`
	N   int    `json:"n"`
}

func (v sideValue) entry() SideEntry {
	return SideEntry{Key: v.Key, Value: fmt.Appendf(nil, `{"key":%q,"n":%d}`, v.Key, v.N)}
}

// sideCopy is what a client has of a side.
type sideCopy struct {
	version uint64
	values  map[string]int
	users   int
	frames  int
	fulls   int
}

// sideFrame takes a frame as a client does: only one that follows what it has (rule SIDE-3).
func (r *reader) sideFrame(f frame) error {
	if r.sides == nil {
		r.sides = make(map[string]*sideCopy)
	}
	have := r.sides[f.Op]
	if have == nil {
		have = &sideCopy{}
		r.sides[f.Op] = have
	}
	return have.take(f)
}

// side is what the reader has of a side by now.
func (r *reader) side(name string) sideCopy {
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	if c := r.sides[name]; c != nil {
		have := *c
		have.values = maps.Clone(c.values)
		return have
	}
	return sideCopy{}
}

func (c *sideCopy) take(f frame) error {
	switch {
	case f.Full:
		c.values = make(map[string]int)
		c.fulls++
	case c.values == nil || uint64(f.Prev) != c.version:
		return fmt.Errorf("a side's frame from %d, at %d", f.Prev, c.version)
	}
	for _, key := range f.Gone {
		delete(c.values, key)
	}
	for _, v := range f.Set {
		c.values[v.Key] = v.N
	}
	if f.Users != 0 {
		c.users = f.Users
	}
	c.version = f.Version
	c.frames++
	return nil
}

// A reader of a side, whenever it looks, has after the next tick what the source said last: of each key the latest value, none
// of what is gone (SIDE-2, SIDE-4).
func TestSideBringsEveryReaderToTheLatest(t *testing.T) {
	seed := newSeed(t)
	for round := range 50 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		s, truth := newSide(time.Second), map[string]int{}
		readers := make([]sideCopy, 4)
		look := func(c *sideCopy) {
			bytes, to := s.frame(wire.WebSocket, "chat:a", "presence", c.version)
			if bytes == nil {
				return
			}
			f, _, ok, err := cut(wire.WebSocket, bytes)
			if err == nil && !ok {
				err = fmt.Errorf("half a frame")
			}
			if err == nil {
				err = c.take(f)
			}
			if err != nil || f.Version != to {
				t.Fatalf("round %d: %v; version %d, not %d", round, err, f.Version, to)
			}
		}
		for range 400 {
			switch n := rng.IntN(10); {
			case n < 6:
				v := sideValue{fmt.Sprint("k", rng.IntN(300)), rng.IntN(3)}
				e := v.entry()
				if rng.IntN(2) == 0 {
					e.Value = nil
					delete(truth, v.Key)
				} else {
					truth[v.Key] = v.N
				}
				s.set(SideUpdate{Set: []SideEntry{e}})
			case n < 7:
				clear(truth)
				u := SideUpdate{Whole: true}
				for i := range rng.IntN(20) {
					v := sideValue{fmt.Sprint("k", i), rng.IntN(3)}
					truth[v.Key] = v.N
					u.Set = append(u.Set, v.entry())
				}
				s.set(u)
			case n < 8:
				s.shown = s.version
			default:
				look(&readers[rng.IntN(len(readers))])
			}
		}
		s.set(SideUpdate{})
		s.shown = s.version
		for i := range readers {
			look(&readers[i])
			if !maps.Equal(readers[i].values, truth) {
				t.Fatalf("round %d: reader %d has %v, the source said %v", round, i, readers[i].values, truth)
			}
		}
		if most := goneKept + 2*len(truth) + 1; s.gone > most {
			t.Fatalf("round %d: %d keys that are gone are kept beside %d", round, s.gone, len(truth))
		}
	}
}

// sources notes what a hub asks for, and company who comes and goes.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func (n *notes) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.list, ", ")
	n.list = nil
	return all
}

func (n *notes) Needed(id room.ID)         { n.add("needed %s", id) }
func (n *notes) Unneeded(id room.ID)       { n.add("unneeded %s", id) }
func (n *notes) Came(id room.ID, g *Guest) { n.add("%s came", g.Connection) }
func (n *notes) Went(id room.ID, g *Guest) { n.add("%s went", g.Connection) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func besideHub(t *testing.T) (*Hub, *model, *notes) {
	m, n := newModel(), &notes{}
	m.grow("chat:a", 3)
	return newHub(t, Config{Store: m, Beside: [Sides]SideSource{SidePresence: n}, Company: n}), m, n
}

// What changes within a quarter of a second is one frame, with the latest of each key; a first change after a quiet time is told
// at once; sockets and streams are told alike (SIDE-1, SIDE-2, SIDE-4).
func TestSideIsToldInTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, _ := besideHub(t)
		socket, stream := newReader(t, h, m, wire.WebSocket), newReader(t, h, m, wire.EventStream)
		plain := newReader(t, h, m, wire.WebSocket) // asked for nothing, is given nothing
		must(t, socket.join(t, Join{Room: "chat:a", Replay: -1, With: SideSet(0).Of(SidePresence)}))
		must(t, stream.follow(t, []Join{{Room: "chat:a", Replay: -1, With: SideSet(0).Of(SidePresence)}}))
		must(t, plain.join(t, Join{Room: "chat:a", Replay: -1}))
		synctest.Wait()
		if socket.side("presence").frames != 0 {
			t.Error("a frame before the source said anything")
		}
		h.SetSide("chat:a", SidePresence, SideUpdate{Set: []SideEntry{sideValue{"u1", 1}.entry()}, About: []byte(`"users":1`)})
		synctest.Wait()
		for n := range 9 {
			h.SetSide("chat:a", SidePresence, SideUpdate{Set: []SideEntry{sideValue{"u1", n}.entry(), sideValue{fmt.Sprint("u", 2+n%3), n}.entry()}})
			time.Sleep(time.Millisecond)
		}
		h.SetSide("chat:a", SidePresence, SideUpdate{Set: []SideEntry{{Key: "u2"}}})
		synctest.Wait()
		for name, r := range map[string]*reader{"socket": socket, "stream": stream} {
			if c := r.side("presence"); c.frames != 1 || c.values["u1"] != 1 || c.users != 1 {
				t.Errorf("%s: %+v before the tick", name, c)
			}
		}
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		want := map[string]int{"u1": 8, "u3": 7, "u4": 8}
		for name, r := range map[string]*reader{"socket": socket, "stream": stream} {
			if c := r.side("presence"); c.frames != 2 || c.fulls != 1 || !maps.Equal(c.values, want) {
				t.Errorf("%s: %+v after the tick", name, c)
			}
		}
		if plain.side("presence").frames != 0 {
			t.Error("who asked for no side was given one")
		}
	})
}

// Events go before sides, and a reader that took nothing meanwhile is given each key once, as it is by then (SIDE-4).
func TestSideWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, _ := besideHub(t)
		r := newReader(t, h, m, wire.WebSocket)
		must(t, r.join(t, Join{Room: "chat:a", Replay: -1, With: SideSet(0).Of(SidePresence)}))
		synctest.Wait()
		r.peer.give(0)
		for n := range 100 {
			h.SetSide("chat:a", SidePresence, SideUpdate{Set: []SideEntry{sideValue{fmt.Sprint("u", n%5), n}.entry()}})
			time.Sleep(300 * time.Millisecond)
			synctest.Wait()
			m.grow("chat:a", 1)
			h.Notice(m.headOf("chat:a"))
		}
		r.peer.give(-1)
		r.waitFor(t, "chat:a", m.headOf("chat:a").Seq)
		time.Sleep(time.Second)
		synctest.Wait()
		c := r.side("presence")
		if c.frames > 3 || !maps.Equal(c.values, map[string]int{"u0": 95, "u1": 96, "u2": 97, "u3": 98, "u4": 99}) {
			t.Errorf("%+v", c)
		}
	})
}

// A side is kept for as long as somebody reads it; who joins again does not go; who leaves, is cut off or reset does (SIDE-5, JOIN-9).
func TestSideLivesAsLongAsItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, n := besideHub(t)
		a, b := newReader(t, h, m, wire.WebSocket), newReader(t, h, m, wire.WebSocket)
		join := func(r *reader, name string) {
			must(t, r.join(t, Join{Room: "chat:a", Replay: -1, With: SideSet(0).Of(SidePresence), Guest: &Guest{Connection: name}}))
			synctest.Wait()
		}
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := n.take(); got != want {
				t.Errorf("%q, not %q", got, want)
			}
		}
		join(a, "a")
		expect("needed chat:a, a came")
		join(b, "b")
		expect("b came")
		h.SetSide("chat:a", SidePresence, SideUpdate{Set: []SideEntry{sideValue{"u1", 1}.entry()}})
		synctest.Wait()
		join(a, "a2")
		expect("a2 came, a went")
		if c := a.side("presence"); c.fulls != 2 || c.values["u1"] != 1 {
			t.Errorf("%+v after it joined again", c)
		}
		if g := a.conn.GuestOf("chat:a"); g == nil || g.Connection != "a2" {
			t.Errorf("the guest is %+v", g)
		}
		a.conn.Again("chat:a", SidePresence)
		synctest.Wait()
		if c := a.side("presence"); c.fulls != 3 {
			t.Errorf("%+v after it asked again", c) // SIDE-6
		}
		a.leave("chat:a")
		expect("a2 went")
		b.conn.Detach()
		expect("unneeded chat:a, b went")
		h.SetSide("chat:a", SidePresence, SideUpdate{Set: []SideEntry{sideValue{"u9", 1}.entry()}}) // nobody is there
		join(a, "a3")
		expect("needed chat:a, a3 came")
		h.SetSide("chat:a", SidePresence, SideUpdate{})
		synctest.Wait()
		if c := a.side("presence"); len(c.values) != 0 || c.fulls != 4 {
			t.Errorf("%+v: what was said while nobody read", c)
		}
		m.recreate("chat:a")
		h.Notice(m.headOf("chat:a"))
		expect("unneeded chat:a, a3 went")
		if keys := slices.Collect(maps.Keys(h.sides.rooms)); len(keys) != 0 {
			t.Errorf("rooms without readers are kept: %v", keys)
		}
	})
}
