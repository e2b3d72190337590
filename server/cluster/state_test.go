package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
	"roomlog/server/store/sqlite"
	"roomlog/server/wire"
)

// board is a sink that folds the pages of a stream into a map.
type board struct {
	mu     sync.Mutex
	buf    []byte
	seq    room.Seq
	keys   map[string]boardEntry
	folded int // pages with keys
	failed error
}

type boardEntry struct {
	Value   json.RawMessage
	Deleted bool
	Seq     room.Seq
}

func (b *board) TryWrite(bufs [][]byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range bufs {
		n += len(text)
		b.buf = append(b.buf, text...)
	}
	for {
		event, rest, whole := bytes.Cut(b.buf, []byte("\n\n"))
		if !whole {
			return n, nil
		}
		b.buf = rest
		if _, data, is := bytes.Cut(event, []byte("event: page\ndata: ")); is {
			b.take(data)
		} else if bytes.Contains(event, []byte("event: reset")) && b.failed == nil {
			b.failed = fmt.Errorf("RESET-7: %s", event)
		}
	}
}

func (b *board) WriteAll(p []byte) error { _, err := b.TryWrite([][]byte{p}); return err }
func (b *board) Close(*room.Error)       {}

func (b *board) take(data []byte) {
	var page struct {
		Prev, Seq room.Seq
		Events    []struct {
			Seq  room.Seq
			Type string
			Data map[string]json.RawMessage
		}
		Full  bool
		State map[string]boardEntry
	}
	err := json.Unmarshal(data, &page)
	if err == nil && page.Prev != b.seq {
		err = fmt.Errorf("PAGE-6: a page after %d where %d was due", page.Prev, b.seq)
	}
	if err != nil {
		if b.failed == nil {
			b.failed = err
		}
		return
	}
	b.seq = page.Seq
	if page.Full {
		clear(b.keys)
	}
	if len(page.State) > 0 {
		b.folded++
	}
	for key, e := range page.State {
		b.set(key, e)
	}
	for _, e := range page.Events {
		for key, value := range e.Data {
			b.set(key, boardEntry{Value: value, Deleted: string(value) == "null", Seq: e.Seq})
		}
	}
}

func (b *board) set(key string, e boardEntry) {
	switch {
	case e.Seq < b.keys[key].Seq:
	case e.Deleted:
		delete(b.keys, key)
	default:
		b.keys[key] = boardEntry{Value: e.Value, Seq: e.Seq}
	}
}

// I15: three nodes on one store, a bus that drops, repeats and delays their hints. Clients count up by compare-and-set, each send by another
// node, and set keys without looking; readers follow at every node, some come late. No increment is lost and none counts twice, and in the end every
// reader has the map of the store, whether it was told live, by hints or by folds.
func TestStateOverNodes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, seed)
	var nodes []*member
	for i := range 3 {
		nodes = append(nodes, w.join(string(rune('a'+i)), func(_ *Config, c *hub.Config) { c.Store = store }))
	}
	w.faults.Set(bustest.Rates{Drop: 0.2, Duplicate: 0.2, Delay: 5 * time.Millisecond})
	const id, clients, each = room.ID("board:nodes"), 6, 25
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var boards []*board
	follow := func(n *member) {
		b := &board{keys: map[string]boardEntry{}}
		conn, err := n.hub.Attach(b, wire.EventStream)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Detach)
		boards = append(boards, b)
		err = conn.Follow(ctx, []hub.Join{{Room: id, HasPosition: true, Replay: -1}}, func([]hub.Followed) []byte { return []byte("event: ready\ndata: {}\n\n") })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		follow(n)
	}
	var group sync.WaitGroup
	for c := range clients {
		rnd := rand.New(rand.NewPCG(seed, uint64(c)))
		send := func(data string, set *room.StateSet) hub.Outcome {
			s := room.Send{Room: id, Author: fmt.Sprintf("u%d", c), Type: room.TypeState, Data: []byte(data), State: set}
			for i := range s.Tag {
				s.Tag[i] = byte(rnd.Uint32())
			}
			if err := s.Mean(); err != nil {
				t.Error(err)
			}
			done := make(chan hub.Outcome, 1)
			nodes[rnd.IntN(3)].hub.Submit(hub.Submit{Send: s}, func(o hub.Outcome) { done <- o })
			return <-done
		}
		group.Go(func() {
			n, seq := 0, room.Seq(0)
			for done := 0; done < each && ctx.Err() == nil; {
				key := fmt.Sprintf("k%d", rnd.IntN(12))
				if o := send(fmt.Sprintf(`{%q:%d,"other%d":null}`, key, rnd.IntN(1000), rnd.IntN(3)), nil); o.Err != nil {
					t.Errorf("set: %v", o.Err)
					return
				}
				o := send(fmt.Sprintf(`{"n":%d}`, n+1), &room.StateSet{If: true, Seq: seq})
				switch {
				case o.Err == nil:
					n, seq = n+1, o.Verdict.Seq
					done++
				case o.Err.Code == room.CodeConflict:
					seq = o.Err.Current[0].Seq
					there, err := strconv.Atoi(string(o.Err.Current[0].Value))
					if err != nil {
						t.Error(err)
						return
					}
					n = there
				default:
					t.Errorf("compare and set: %v", o.Err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, n := range nodes {
		follow(n) // from the beginning
	}
	w.faults.Heal()
	page, err := store.Read(ctx, room.Query{Room: id, Anchor: room.Latest, State: room.StateWhole})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, e := range page.State {
		want[e.Key] = fmt.Sprintf("%s@%d", e.Value, e.Seq)
	}
	if n, _, _ := bytes.Cut([]byte(want["n"]), []byte("@")); string(n) != fmt.Sprint(clients*each) {
		t.Fatalf("I15: %d increments by compare-and-set give %s", clients*each, want["n"])
	}
	for i, b := range boards {
		for {
			b.mu.Lock()
			at, failed := b.seq, b.failed
			got := map[string]string{}
			for key, e := range b.keys {
				got[key] = fmt.Sprintf("%s@%d", e.Value, e.Seq)
			}
			b.mu.Unlock()
			if failed != nil {
				t.Fatalf("reader %d: %v", i, failed)
			}
			if at < page.Head.Seq && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond) // looks again, for as long as it takes
				continue
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("I15: reader %d at %d has %v, the store %v", i, at, got, want)
			}
			break
		}
	}
}
