package erasure

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roomlog/server/room"
	"roomlog/server/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing waits that long when all is well.
const patience = 60 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, nil)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var tags atomic.Uint64

// say stores a message in each of so many rooms, by the same user.
func say(t *testing.T, s room.Store, user string, rooms int) {
	t.Helper()
	batch := make([]room.Send, rooms)
	for i := range batch {
		var tag room.Tag
		binary.BigEndian.PutUint64(tag[:], tags.Add(1))
		batch[i] = room.Send{Room: idOf(i), Author: user, Tag: tag, Type: "message", Data: []byte(`"canary"`)}
	}
	_, err := s.Append(t.Context(), batch)
	must(t, err)
}

// sayMuch stores so many messages of u1 in the first room.
func sayMuch(t *testing.T, s room.Store, n int) {
	t.Helper()
	batch := make([]room.Send, n)
	for i := range batch {
		var tag room.Tag
		binary.BigEndian.PutUint64(tag[:], tags.Add(1))
		batch[i] = room.Send{Room: idOf(0), Author: "u1", Tag: tag, Type: "message", Data: []byte(`"canary"`)}
	}
	_, err := s.Append(t.Context(), batch)
	must(t, err)
}

func idOf(i int) room.ID { return room.ID(fmt.Sprintf("chat:r%04d", i)) }

// watched is a store that may do something before a room is erased, or fail there.
type watched struct {
	Store
	before func(id room.ID) error
	after  func(room.Erased) error
	erased atomic.Int64 // calls
}

func (w *watched) EraseIn(ctx context.Context, e room.Erasure, id room.ID, tag room.Tag, data []byte) (room.Erased, error) {
	w.erased.Add(1)
	if w.before != nil {
		if err := w.before(id); err != nil {
			return room.Erased{}, err
		}
	}
	out, err := w.Store.EraseIn(ctx, e, id, tag, data)
	if err == nil && w.after != nil {
		err = w.after(out)
	}
	return out, err
}

// duties are those of one process, for several erasers in it.
type duties struct {
	mu     sync.Mutex
	holder string
	takes  map[string]int
}

func (d *duties) TakeDuty(_ context.Context, _, holder string, _ time.Duration) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holder == "" {
		d.holder = holder
	}
	d.takes[holder]++
	return d.holder == holder, nil
}

func (d *duties) LeaveDuty(_ context.Context, _, holder string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holder == holder {
		d.holder = ""
	}
	return nil
}

func (d *duties) asked(holder string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.takes[holder]
}

func newEraser(t *testing.T, cfg Config) *Eraser {
	t.Helper()
	cfg.Every, cfg.Pause = 2*time.Millisecond, time.Nanosecond
	x := New(cfg)
	t.Cleanup(x.Stop)
	return x
}

func ask(t *testing.T, x *Eraser, user string) {
	t.Helper()
	_, err := x.Ask(t.Context(), user, "admin", time.Now().UTC().Truncate(time.Microsecond))
	must(t, err)
}

// done waits until an erasure is done.
func done(t *testing.T, s Store, user string) room.Erasure {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		e, found, err := s.FindErasure(t.Context(), user)
		must(t, err)
		if found && !e.Done.IsZero() {
			return e
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never done: %+v", e)
		}
	}
}

// check fails unless each of so many rooms has lost what the user said, by one erase event.
func check(t *testing.T, s room.Store, rooms int) {
	t.Helper()
	for i := range rooms {
		p, err := s.Read(t.Context(), room.Query{Room: idOf(i), Limit: 10_000})
		must(t, err)
		events := 0
		for _, e := range p.Events {
			switch {
			case e.Type == room.TypeErase:
				events++
			case e.Author == "u1" && (e.Gone == nil || string(e.Data) != "null"):
				t.Errorf("ERASE-2: %s has %+v", idOf(i), e)
			}
		}
		if events != 1 {
			t.Errorf("ERASE-4: %s has %d erase events", idOf(i), events)
		}
	}
}

// ERASE-4: wherever the process ends in the middle, also between a room and the note that it is done, another on the same database
// goes on, and no room has two events of it.
func TestAnotherGoesOn(t *testing.T) {
	const rooms = 12
	for name, cut := range map[string]func(w *watched, end func()){
		"before a room is erased": func(w *watched, end func()) {
			w.before = func(id room.ID) error {
				if id == idOf(5) {
					end()
					return context.Canceled
				}
				return nil
			}
		},
		"after it, before that is noted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "roomlog.db")
			s := openStore(t, path)
			say(t, s, "u1", rooms)
			say(t, s, "u2", rooms)
			w := &watched{Store: s}
			reached, over := make(chan struct{}), make(chan struct{})
			var once sync.Once
			end := func() { once.Do(func() { close(reached) }); <-over }
			cfg := Config{Store: w}
			if cut != nil {
				cut(w, end)
			} else {
				cfg.Told = func(_ context.Context, id room.ID) error {
					if id == idOf(5) {
						end()
						return context.Canceled
					}
					return nil
				}
			}
			first := newEraser(t, cfg)
			ask(t, first, "u1")
			first.Start()
			<-reached
			first.cancel() // it may do nothing more, as one that was killed
			close(over)
			first.Stop()
			must(t, s.Close())

			s = openStore(t, path)
			e, found, err := s.NextErasure(t.Context())
			must(t, err)
			if !found || e.User != "u1" || e.Upto != idOf(4) || e.Rooms != 5 {
				t.Fatalf("ERASE-4: the job stands at %+v, %t", e, found)
			}
			again := &watched{Store: s}
			var told []room.ID
			second := newEraser(t, Config{Store: again, Told: func(_ context.Context, id room.ID) error { told = append(told, id); return nil }})
			second.Start()
			e = done(t, s, "u1")
			second.Stop()
			if e.Rooms != rooms || again.erased.Load() != rooms-5 {
				t.Errorf("ERASE-4: %+v; the second looked at %d rooms", e, again.erased.Load())
			}
			if len(told) != rooms-5 || told[0] != idOf(5) {
				t.Errorf("ERASE-3: it told of %v", told)
			}
			check(t, s, rooms)
		})
	}
}

// ERASE-4: one node of several erases; when it ends, another does.
func TestOneNodeAtATime(t *testing.T) {
	const rooms = 8
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	say(t, s, "u1", rooms)
	d := &duties{takes: map[string]int{}}
	var running, most atomic.Int64
	reached, goes := make(chan struct{}), make(chan struct{})
	var once sync.Once
	node := func(name string, wait bool) (*Eraser, *watched) {
		w := &watched{Store: s}
		w.before = func(id room.ID) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if wait && id == idOf(3) {
				once.Do(func() { close(reached) })
				<-goes
				return context.Canceled
			}
			return nil
		}
		return newEraser(t, Config{Store: w, Duties: d, Name: name}), w
	}
	a, _ := node("a", true)
	b, wb := node("b", false)
	ask(t, a, "u1")
	a.Start()
	<-reached
	b.Start()
	late, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for d.asked("b") < 5 { // it asks, again and again, and is not let
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the second node does not look")
		}
	}
	if wb.erased.Load() != 0 {
		t.Error("ERASE-4: two nodes erase")
	}
	a.cancel()
	close(goes)
	a.Stop()
	if e := done(t, s, "u1"); e.Rooms != rooms {
		t.Errorf("ERASE-4: %+v", e)
	}
	if wb.erased.Load() != rooms-3 || most.Load() != 1 {
		t.Errorf("ERASE-4: the second looked at %d rooms; %d at a time", wb.erased.Load(), most.Load())
	}
	b.Stop()
	check(t, s, rooms)
}

// ERASE-2, ERASE-4: a room that is deleted when it is about to be erased is passed over, also where somebody wrote to it anew; a store
// that does not answer holds the job up and nothing else.
func TestRoomsThatGo(t *testing.T) {
	const rooms = 6
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	say(t, s, "u1", rooms)
	w := &watched{Store: s}
	failed := false
	w.before = func(id room.ID) error {
		switch id {
		case idOf(1), idOf(3):
			if _, _, err := s.Delete(context.Background(), id); err != nil {
				return err
			}
			if id == idOf(3) {
				_, err := s.Append(context.Background(), []room.Send{{Room: id, Author: "u2", Tag: room.Tag{1}, Type: "message", Data: []byte(`1`)}})
				return err
			}
		case idOf(4):
			if !failed {
				failed = true
				return errors.New("down")
			}
		}
		return nil
	}
	x := newEraser(t, Config{Store: w})
	ask(t, x, "u1")
	x.Start()
	if e := done(t, s, "u1"); e.Rooms != rooms-2 || e.Events != rooms-2 {
		t.Errorf("ERASE-1: %+v", e)
	}
	x.Stop()
	if !failed {
		t.Error("nothing failed: the test proves nothing")
	}
	for _, i := range []int{1, 3} {
		p, err := s.Read(t.Context(), room.Query{Room: idOf(i), Limit: 10})
		must(t, err)
		for _, e := range p.Events {
			if e.Type == room.TypeErase || e.Author == "u1" {
				t.Errorf("ERASE-2: %s, which began anew, has %+v", idOf(i), e)
			}
		}
	}
}

// ERASE-2: many rooms, few of which have something of the user: each is looked at once, and only those get an event.
func TestManyRooms(t *testing.T) {
	const all, theirs = 1050, 30
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	say(t, s, "u2", all)
	say(t, s, "u1", theirs)
	w := &watched{Store: s}
	x := newEraser(t, Config{Store: w})
	x.Start() // before it is asked: it is woken, or looks by itself
	ask(t, x, "u1")
	ask(t, x, "u9") // who said nothing
	if e := done(t, s, "u1"); e.Rooms != theirs || e.Events != theirs {
		t.Errorf("ERASE-1: %+v", e)
	}
	if e := done(t, s, "u9"); e.Rooms != 0 || e.Events != 0 {
		t.Errorf("ERASE-1: %+v", e)
	}
	x.Stop()
	check(t, s, theirs)
	heads, err := s.Heads(t.Context(), []room.ID{idOf(theirs), idOf(all - 1)})
	must(t, err)
	if heads[0].Seq != 1 || heads[1].Seq != 1 {
		t.Errorf("ERASE-2: rooms without anything of them grew: %+v", heads)
	}
	if n := w.erased.Load(); n != 2*all {
		t.Errorf("two jobs looked %d times at %d rooms", n, all)
	}
}

// ERASE-4: a large room is erased in parts, and goes on behind the last one that was stored, wherever the process ends: here behind each of them, before
// it was taken notice of. Others append in between, and everything is counted once.
func TestPartsGoOn(t *testing.T) {
	const parts = 4
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s := openStore(t, path)
	sayMuch(t, s, parts*room.EraseMost)
	say(t, s, "u2", 1)
	_, err := New(Config{Store: s}).Ask(t.Context(), "u1", "admin", time.Now().UTC().Truncate(time.Microsecond))
	must(t, err)
	said := int64(parts * room.EraseMost)
	told := 0
	for n := 0; ; n++ {
		if n > parts+1 {
			t.Fatalf("ERASE-4: cut %d times, the job is not done", n)
		}
		w := &watched{Store: s}
		over := make(chan struct{})
		var x *Eraser
		w.after = func(room.Erased) error {
			x.cancel() // as one that is killed: what the store did is all that there is of it
			close(over)
			return context.Canceled
		}
		x = newEraser(t, Config{Store: w, Told: func(context.Context, room.ID) error { told++; return nil }})
		if n == parts { // all but the event's end is stored
			w.after = nil
		}
		x.Start()
		if n == parts {
			break
		}
		<-over
		x.Stop()
		must(t, s.Close())
		s = openStore(t, path)
		e, found, err := s.NextErasure(t.Context())
		must(t, err)
		if !found || e.Events != min(said, int64(n+1)*room.EraseMost) || e.Rooms != 0 {
			t.Fatalf("ERASE-4: behind part %d the job stands at %+v, %t", n, e, found)
		}
		if n == 0 {
			say(t, s, "u2", 1)
		}
	}
	if e := done(t, s, "u1"); e.Rooms != 1 || e.Events != said || told != 1 {
		t.Errorf("ERASE-1: %+v; told %d times", e, told)
	}
	p, err := s.Read(t.Context(), room.Query{Room: idOf(0), Limit: 10_000})
	must(t, err)
	last := room.Seq(len(p.Events))
	for i, e := range p.Events {
		if mine := e.Author == "u1"; mine != (e.Gone != nil) || mine && e.Gone.Seq != last || (e.Type == room.TypeErase) != (i == len(p.Events)-1) {
			t.Fatalf("ERASE-2: event %d of %d is %+v, gone by %+v", e.Seq, last, e, e.Gone)
		}
	}
}

// ERASE-4: a node whose duty is another's by now stops in the middle of a room.
func TestDutyLostInARoom(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	sayMuch(t, s, 3*room.EraseMost)
	say(t, s, "u1", 5)
	d := &duties{takes: map[string]int{}}
	w := &watched{Store: s}
	w.after = func(room.Erased) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.holder = "b"
		return nil
	}
	a := newEraser(t, Config{Store: w, Duties: d, Name: "a"})
	ask(t, a, "u1")
	a.Start()
	tick, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer tick.Stop()
	for d.asked("a") < 6 { // it asks for it again, and is not let
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not ask any more")
		}
	}
	if n := w.erased.Load(); n != 1 {
		t.Errorf("ERASE-4: it went on for %d parts", n)
	}
	a.Stop()
	b := newEraser(t, Config{Store: s, Duties: d, Name: "b"})
	b.Start()
	if e := done(t, s, "u1"); e.Rooms != 5 || e.Events != 3*room.EraseMost+5 {
		t.Errorf("ERASE-4: %+v", e)
	}
	b.Stop()
	check(t, s, 5)
}
