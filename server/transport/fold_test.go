package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// keyed follows a room by folding what pages say into a map, as a client does (STATE-7, STATE-8), and notes which updates of documents it was given.
type keyed struct {
	seq   room.Seq
	folds int // pages that had keys
	keys  map[string]keyedEntry
	log   []room.Seq // of messages
	docs  map[room.Seq]bool
	spans []keyedPage // without what was in them
}

type keyedEntry struct {
	Value   json.RawMessage
	Deleted bool
	Seq     room.Seq
}

type keyedPage struct {
	Op, Reason string
	Prev, Seq  room.Seq
	Events     []struct {
		Seq  room.Seq
		Type string
		Data json.RawMessage
	}
	Full  bool
	State map[string]keyedEntry
	Docs  bool
	Page  *keyedPage
}

func (k *keyed) take(p keyedPage) error {
	if p.Prev != k.seq {
		return fmt.Errorf("PAGE-6: a page (%d,%d] does not adjoin %d", p.Prev, p.Seq, k.seq)
	}
	k.seq = p.Seq
	k.spans = append(k.spans, keyedPage{Prev: p.Prev, Seq: p.Seq, Docs: p.Docs})
	if len(p.State) > 0 {
		k.folds++
	}
	if p.Full {
		k.keys = map[string]keyedEntry{}
	}
	for key, e := range p.State {
		if e.Seq > p.Seq || !p.Full && e.Seq <= p.Prev {
			return fmt.Errorf("STATE-7: the page (%d,%d] has a key of %d", p.Prev, p.Seq, e.Seq)
		}
		k.set(key, e)
	}
	for _, e := range p.Events {
		switch e.Type {
		case room.TypeDoc:
			k.docs[e.Seq] = true
			continue
		case "message":
			k.log = append(k.log, e.Seq)
			continue
		}
		var data map[string]json.RawMessage
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		for key, value := range data {
			k.set(key, keyedEntry{Value: value, Deleted: string(value) == "null", Seq: e.Seq})
		}
	}
	return nil
}

func (k *keyed) set(key string, e keyedEntry) {
	switch {
	case e.Seq < k.keys[key].Seq:
	case e.Deleted:
		delete(k.keys, key)
	default:
		k.keys[key] = keyedEntry{Value: e.Value, Seq: e.Seq}
	}
}

// lacks says which of the updates of a room it was neither given nor told of, and which page tells of some that are not there (DOC-12).
func (k *keyed) lacks(updates []room.Seq) error {
	for _, p := range k.spans {
		left := 0
		for _, seq := range updates {
			if seq > p.Prev && seq <= p.Seq && !k.docs[seq] {
				left++
			}
		}
		if p.Docs != (left > 0) {
			return fmt.Errorf("DOC-12: the page (%d,%d] has docs %v, and leaves out %d", p.Prev, p.Seq, p.Docs, left)
		}
	}
	return nil
}

// TestFoldedReadersAgree writes state, documents and messages while readers of every speed follow, leave and come back from old positions: each
// ends with the map of the store and every message once, and is given or told of each update, whatever mixture of live pages and folds brought it there
// (STATE-7 to STATE-10, DOC-12, JOIN-8).
func TestFoldedReadersAgree(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := start(t, options{hub: func(c *hub.Config) { c.TailBytes = 96 << 10 }}).hub // so little that most is read again
	const id, total = room.ID("board:folds"), 4000
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	written := newMeter()
	var updates []room.Seq
	var storing sync.Mutex
	rnd, n := rand.New(rand.NewPCG(seed, 0)), 0
	write := func(upTo int) {
		for n < upTo {
			var batch sync.WaitGroup
			for range min(1+rnd.IntN(60), upTo-n) {
				n++
				s := room.Send{Room: id, Author: "u1", Tag: room.Tag{14: byte(n >> 8), 15: byte(n), 13: 1}, Type: "message", Data: []byte(`1`)}
				switch rnd.IntN(8) {
				case 0:
				case 1, 2:
					s.Type, s.Data = room.TypeDoc, []byte(docData("main", []byte{byte(n)})) // which nobody looks into here
				default:
					s.Type, s.Data = room.TypeState, fmt.Appendf(nil, `{"k%d":%d}`, rnd.IntN(400), n)
					if rnd.IntN(4) == 0 {
						s.Data = fmt.Appendf(nil, `{"k%d":null}`, rnd.IntN(400))
					}
				}
				if err := s.Mean(); err != nil {
					t.Error(err)
					return
				}
				batch.Add(1)
				h.Submit(hub.Submit{Send: s}, func(o hub.Outcome) {
					if o.Err != nil {
						t.Error(o.Err)
					}
					if s.Doc != nil {
						storing.Lock()
						updates = append(updates, o.Verdict.Seq)
						storing.Unlock()
					}
					batch.Done()
				})
			}
			batch.Wait()
			written.set(room.Seq(n))
		}
	}
	readers, from := make([]*keyed, 6), make([]room.Position, 6)
	for i := range readers {
		readers[i] = &keyed{keys: map[string]keyedEntry{}, docs: map[room.Seq]bool{}}
	}
	// Whoever is slow later may sleep until all is written, and be given the rest at once: each comes twice from so far behind before.
	for _, upTo := range []int{600, 1200} {
		write(upTo)
		for i, k := range readers {
			var err error
			if from[i], err = callOn(ctx, h, id, from[i], k, 0); err != nil {
				t.Fatalf("visit at %v: %v", from[i], err)
			}
		}
	}
	var group sync.WaitGroup
	group.Go(func() {
		defer written.set(total)
		write(total)
	})
	for i, k := range readers[1:] { // one does sleep
		rnd, at := rand.New(rand.NewPCG(seed, uint64(i+1))), from[i+1]
		group.Go(func() {
			for k.seq < total && ctx.Err() == nil {
				if rnd.IntN(3) == 0 { // away for a while
					written.wait(min(k.seq+1+rnd.Int64N(800), total))
				}
				// By turns as a poll does, and as a connection that joins, takes a little and goes.
				if rnd.IntN(3) == 0 {
					var p hub.Page
					err := untilTaken(ctx, func() (err error) {
						p, err = h.Poll(ctx, hub.Join{Room: id, Position: at, Limit: 1 + rnd.IntN(500)}, 50*time.Millisecond)
						return err
					})
					if err != nil {
						t.Errorf("poll at %v: %v", at, err)
						return
					}
					var page keyedPage
					text := wire.AppendPolled(nil, wire.Page{Room: id, Epoch: p.Head.Epoch, Prev: p.Prev, Seq: p.Seq, Mark: p.Mark, Full: p.Full, State: p.State, Docs: p.Docs}, 1, p.Head.Seq, nil, p.Events)
					if err := json.Unmarshal(text, &page); err != nil {
						t.Error(err)
						return
					}
					if err := k.take(page); err != nil {
						t.Error(err)
						return
					}
					at = room.Position{Epoch: p.Head.Epoch, Seq: p.Seq, Mark: p.Mark}
					continue
				}
				next, err := callOn(ctx, h, id, at, k, rnd.IntN(8))
				if err != nil {
					t.Errorf("visit at %v: %v", at, err)
					return
				}
				at = next
			}
		})
	}
	group.Wait()
	if _, err := callOn(ctx, h, id, from[0], readers[0], 0); err != nil { // what this fold lacks nobody tells it later
		t.Fatalf("visit at %v: %v", from[0], err)
	}
	for i, k := range readers {
		if k.folds < 2 {
			t.Errorf("reader %d was given %d pages with keys: nothing was put to the test", i, k.folds)
		}
	}
	want, err := h.State(ctx, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]keyedEntry
	if err := json.Unmarshal(want.State, &keys); err != nil {
		t.Fatal(err)
	}
	for i, k := range readers {
		if k.seq < total {
			t.Fatalf("I9: reader %d stands at %d", i, k.seq)
		}
		if err := k.lacks(updates); err != nil {
			t.Errorf("reader %d: %v", i, err)
		}
		if len(k.keys) != len(keys) {
			t.Errorf("STATE-8: reader %d has %d keys, the store %d", i, len(k.keys), len(keys))
		}
		for key, e := range keys {
			if got := k.keys[key]; string(got.Value) != string(e.Value) || got.Seq != e.Seq {
				t.Errorf("STATE-2: reader %d has %s=%s@%d, the store %s@%d", i, key, got.Value, got.Seq, e.Value, e.Seq)
			}
		}
		if len(k.log) != len(readers[0].log) {
			t.Errorf("I8: reader %d was given %d messages, the first %d", i, len(k.log), len(readers[0].log))
		}
		for j := 1; j < len(k.log); j++ {
			if k.log[j] <= k.log[j-1] {
				t.Fatalf("I8: reader %d was given %d after %d", i, k.log[j], k.log[j-1])
			}
		}
	}
}

// meter says how far something has come.
type meter struct {
	cond *sync.Cond
	at   room.Seq
}

func newMeter() *meter { return &meter{cond: sync.NewCond(new(sync.Mutex))} }

func (m *meter) set(at room.Seq) {
	m.cond.L.Lock()
	m.at = at
	m.cond.L.Unlock()
	m.cond.Broadcast()
}

func (m *meter) wait(at room.Seq) {
	m.cond.L.Lock()
	defer m.cond.L.Unlock()
	for m.at < at {
		m.cond.Wait()
	}
}

// untilTaken does something again where it is told to: a room that changes all the time, and of which memory keeps almost nothing, may
// change faster than somebody comes to it.
func untilTaken(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || room.AsError(err).Code != room.CodeOverloaded || ctx.Err() != nil {
			return err
		}
	}
}

// callOn joins at a position, takes the first page and some that follow, and leaves.
func callOn(ctx context.Context, h *hub.Hub, id room.ID, at room.Position, k *keyed, most int) (room.Position, error) {
	s := &visitor{came: make(chan struct{}, 1)}
	c, err := h.Attach(s, wire.EventStream)
	if err != nil {
		return at, err
	}
	defer c.Detach()
	took := make(chan keyedPage, 1)
	join := hub.Join{Room: id, Position: at, HasPosition: true, Replay: -1}
	encode := func(j hub.Joined) []byte {
		text := wire.Joined{
			Page: wire.Page{Room: id, Epoch: j.Head.Epoch, Prev: j.Prev, Seq: j.Seq, Mark: j.Mark, Full: j.Full, State: j.State, Docs: j.Docs}, Events: j.Events, Reset: j.Reset,
		}.Append(nil)
		var f keyedPage
		if err := json.Unmarshal(text, &f); err == nil && j.Reset == "" {
			took <- *f.Page
		}
		at = room.Position{Epoch: j.Head.Epoch, Seq: j.Seq, Mark: j.Mark}
		return nil
	}
	if err := untilTaken(ctx, func() error { return c.Join(ctx, join, encode) }); err != nil {
		return at, err
	}
	select {
	case page := <-took:
		if err := k.take(page); err != nil {
			return at, fmt.Errorf("joined: %w", err)
		}
	default:
		return at, fmt.Errorf("a join that can be continued was reset")
	}
	timer := time.NewTimer(20 * time.Millisecond) // a reader that has all there is goes on
	defer timer.Stop()
	for range most {
		page, position, ok := s.next()
		for !ok {
			select {
			case <-s.came:
				page, position, ok = s.next()
			case <-timer.C:
				return at, nil
			case <-ctx.Done():
				return at, ctx.Err()
			}
		}
		if err := k.take(page); err != nil {
			return at, err
		}
		if at, err = room.ParsePosition(position); err != nil {
			return at, err
		}
	}
	return at, nil
}

// visitor is a sink that takes everything, and gives it page by page.
type visitor struct {
	mu    sync.Mutex
	bytes []byte
	came  chan struct{}
}

func (v *visitor) TryWrite(bufs [][]byte) (n int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, b := range bufs {
		v.bytes = append(v.bytes, b...)
		n += len(b)
	}
	select {
	case v.came <- struct{}{}:
	default:
	}
	return n, nil
}

func (v *visitor) WriteAll(p []byte) error {
	_, err := v.TryWrite([][]byte{p})
	return err
}

func (v *visitor) Close(*room.Error) {}

// next takes one event of the stream off what came.
func (v *visitor) next() (page keyedPage, position string, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var data string
	end := 0
	for i := 0; i+1 < len(v.bytes); i++ {
		if v.bytes[i] == '\n' && v.bytes[i+1] == '\n' {
			end = i
			break
		}
	}
	if end == 0 {
		return page, "", false
	}
	if v.bytes[0] == ':' { // a ping
		v.bytes = v.bytes[end+2:]
		return page, "", false
	}
	if _, err := fmt.Sscanf(string(v.bytes[:end]), "id: %s\nevent: page\ndata: %s", &position, &data); err != nil {
		panic(fmt.Sprintf("%v in %.300q", err, v.bytes[:end]))
	}
	v.bytes = v.bytes[end+2:]
	if err := json.Unmarshal([]byte(data), &page); err != nil {
		panic(err)
	}
	return page, position, true
}
