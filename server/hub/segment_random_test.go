package hub

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// TestSegmentsOfAnyPages grows rooms by random numbers of events of random sizes, and reads each segment from
// many seqs on, in both framings and by random limits: the pages adjoin and hold each event once (PAGE-1, PAGE-2,
// PAGE-6), what is read at a time is bounded, and the budget is charged what there is.
func TestSegmentsOfAnyPages(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 3 {
		h := New(Config{Store: newModel()}) // not started
		r := h.live("chat:a")
		head := room.Seq(random.IntN(300)) // the log begins anywhere
		r.mu.Lock()
		r.start(room.Page{Head: room.Head{Room: "chat:a", Epoch: "e1", Floor: head + 1, Seq: head, Mark: 7}, Prev: head, PrevMark: 7})
		log := make([]room.Event, head)
		large := random.IntN(3) // none, some, most
		for steps := random.IntN(16); steps >= 0; steps-- {
			var events []room.Event
			for range 1 + random.IntN(1+random.IntN(100)) {
				size := 2 + random.IntN(200)
				if random.IntN(1+40/(1+large*large*10)) == 0 && large > 0 {
					size = 2 + random.IntN(64<<10)
				}
				data := append(append([]byte{'"'}, bytes.Repeat([]byte{byte('a' + random.IntN(26))}, size-2)...), '"')
				e := room.Event{Seq: room.Seq(len(log) + len(events) + 1), Mark: room.Mark(1 + random.Uint32N(9)), Type: "message", Author: "u", Tag: room.Tag{15: 1}, Data: data}
				events = append(events, e)
			}
			log = append(log, events...)
			r.extend(events)
			if random.IntN(4) == 0 { // the other framing is made on the way
				r.segments[random.IntN(len(r.segments))].framed(wire.EventStream)
			}
		}
		var weight int64
		for _, s := range r.segments {
			for f := range wire.Framing(wire.Framings) {
				for seq := s.prev; seq < s.last(); seq += room.Seq(1 + random.IntN(4)) {
					readOut(t, s, f, seq, random.IntN(2*maxWrite), log)
				}
			}
			weight += s.weight()
		}
		if got := h.cache.bytes.Load(); got != weight {
			t.Errorf("the budget is charged %d for %d", got, weight)
		}
		if r.head != room.Seq(len(log)) || r.mark != log[len(log)-1].Mark {
			t.Errorf("the head is %d of %d", r.head, len(log))
		}
		events, seq, n := r.collect(nil, head, len(log), 1<<30)
		var all []json.RawMessage
		if err := json.Unmarshal([]byte("["+string(events)+"]"), &all); err != nil || n != len(all) || seq != r.head || n != len(log)-int(head) {
			t.Errorf("collected %d events to %d: %v", n, seq, err)
		}
		r.mu.Unlock()
	}
}

// readOut reads once from a segment, and checks the frames.
func readOut(t *testing.T, s *segment, f wire.Framing, from room.Seq, limit int, log []room.Event) {
	t.Helper()
	text, end := s.slice(f, from, limit)
	at, frames, rest := from, 0, text
	for len(rest) > 0 {
		fr, after, ok, err := cut(f, rest)
		if err != nil || !ok || fr.Op != "page" {
			t.Fatalf("from %d: frame %d: %v", from, frames, err)
		}
		if fr.Prev != at || fr.Seq <= fr.Prev || int(fr.Seq-fr.Prev) != len(fr.Events) || fr.Seq > s.last() {
			t.Fatalf("from %d: a page of (%d, %d] with %d events for one who stands at %d", from, fr.Prev, fr.Seq, len(fr.Events), at)
		}
		for _, raw := range fr.Events {
			var e struct {
				Seq  room.Seq
				Data json.RawMessage
			}
			if at++; json.Unmarshal(raw, &e) != nil || e.Seq != at || string(e.Data) != string(log[at-1].Data) {
				t.Fatalf("from %d: event %d is another: %.100s", from, at, raw)
			}
		}
		want := room.Position{Epoch: "e1", Seq: at, Mark: log[at-1].Mark}
		if fr.Position != want.String() || f == wire.EventStream && fr.StreamID != want.String() {
			t.Fatalf("from %d: position %s, id %s, want %s", from, fr.Position, fr.StreamID, want)
		}
		if len(fr.Events) > 1 && len(rest)-len(after) > 2*frameBytes+len(fr.Events)*256 {
			t.Fatalf("from %d: a page of %d events has %d bytes", from, len(fr.Events), len(rest)-len(after))
		}
		rest = after
		frames++
	}
	if at != end || frames == 0 || frames > 1 && len(text) > limit {
		t.Fatalf("from %d: %d frames, %d bytes of %d, to %d and not %d", from, frames, len(text), limit, at, end)
	}
}
