package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"roomlog/server/room"
)

// model is what a store must do, in memory and without concurrency: the simplest thing that is right. What
// is pruned stays in rooms, for its tags, below the floor.
type model struct {
	rooms  map[room.ID][]room.Event
	floors map[room.ID]room.Seq // one less than the floor
}

// append gives the verdicts that a store must give; marks and times are the store's to choose.
func (m model) append(batch []room.Send) []room.Verdict {
	out := make([]room.Verdict, len(batch))
	for i, s := range batch {
		log := m.rooms[s.Room]
		at := slices.IndexFunc(log, func(e room.Event) bool { return e.Tag == s.Tag && e.Author == s.Author })
		switch {
		case at >= 0 && (log[at].Type != s.Type || string(log[at].Data) != string(s.Data)):
			out[i].Refused = room.TagConflict()
		case at >= 0:
			out[i] = room.Verdict{Seq: log[at].Seq, Duplicate: true}
		case s.Repeat:
			out[i].NotStored = true
		default:
			out[i].Seq = room.Seq(len(log) + 1)
			m.rooms[s.Room] = append(log, room.Event{Seq: out[i].Seq, Type: s.Type, Author: s.Author, Tag: s.Tag, Data: s.Data})
		}
	}
	return out
}

// testModel runs random batches and reads against the model; a failure prints the shortest run and its seed.
func testModel(t *testing.T, f Factory) {
	hs := f.pair(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++ // rooms of its own, so that each run begins with empty ones
		m := model{rooms: map[room.ID][]room.Event{}, floors: map[room.ID]room.Seq{}}
		ids := []room.ID{room.ID(fmt.Sprintf("chat:%d.a", run)), room.ID(fmt.Sprintf("chat:%d.b", run)), room.ID(fmt.Sprintf("chat:%d.c", run))}
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			batch := rapid.SliceOfN(drawSend(ids), 1, 12).Draw(rt, "batch")
			s := hs[rapid.IntRange(0, 1).Draw(rt, "handle")]
			want := m.append(batch)
			out, err := s.Append(t.Context(), batch)
			if err != nil {
				rt.Fatalf("append: %v", err)
			}
			for i := range want {
				if !sameVerdict(out.Verdicts[i], want[i]) {
					rt.Fatalf("send %d of %+v is answered with %+v, not %+v", i, batch, out.Verdicts[i], want[i])
				}
			}
			m.prune(rt, s, ids)
			for _, id := range ids {
				compare(rt, s, id, m.rooms[id], m.floors[id])
			}
		}
	})
}

// prune prunes or deletes some room of the model and the store.
func (m model) prune(rt *rapid.T, s room.Store, ids []room.ID) {
	id := rapid.SampledFrom(ids).Draw(rt, "pruned")
	switch rapid.IntRange(0, 4).Draw(rt, "end") {
	case 0:
		_, deleted, err := s.(room.Rooms).Delete(rt.Context(), id)
		if had := len(m.rooms[id]) > 0; err != nil || deleted != had {
			rt.Fatalf("delete %s: %v, %v, where it had %d events", id, deleted, err, len(m.rooms[id]))
		}
		delete(m.rooms, id)
		delete(m.floors, id)
	case 1, 2:
		keep, limit := rapid.Int64Range(1, 6).Draw(rt, "keep"), rapid.IntRange(1, 6).Draw(rt, "limit")
		out, err := s.(room.Pruner).Prune(rt.Context(), id, room.Retention{Events: keep}, time.Hour, limit)
		gone := max(0, min(int64(limit), int64(len(m.rooms[id]))-m.floors[id]-keep))
		if m.floors[id] += gone; err != nil || int64(out.Events) != gone || out.Head.Floor != m.floors[id]+1 {
			rt.Fatalf("prune %s to %d, at most %d: %+v, %v; %d should go", id, keep, limit, out, err, gone)
		}
	}
}

// drawSend draws from few authors, tags and bodies, so that repeats and conflicts are common.
func drawSend(ids []room.ID) *rapid.Generator[room.Send] {
	return rapid.Custom(func(t *rapid.T) room.Send {
		return room.Send{
			Room:   rapid.SampledFrom(ids).Draw(t, "room"),
			Author: rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "author"),
			Tag:    room.Tag{15: byte(rapid.IntRange(1, 6).Draw(t, "tag"))},
			Type:   rapid.SampledFrom([]string{"message", "message", "message", "edit"}).Draw(t, "type"),
			Data:   []byte(rapid.SampledFrom([]string{`1`, `1`, `1`, `2`}).Draw(t, "data")),
			Repeat: rapid.IntRange(0, 4).Draw(t, "repeat") == 0,
		}
	})
}

func sameVerdict(a, b room.Verdict) bool {
	return a.Seq == b.Seq && a.Duplicate == b.Duplicate && a.NotStored == b.NotStored && (a.Refused != nil) == (b.Refused != nil) &&
		(a.Seq > 0) == (a.Mark != 0) && (a.Seq > 0) != a.At.IsZero()
}

// compare reads a room and compares it with the model's log above pruned events.
func compare(rt *rapid.T, s room.Store, id room.ID, log []room.Event, pruned room.Seq) {
	want := log[pruned:]
	p, err := s.Read(rt.Context(), room.Query{Room: id, Anchor: room.After, Limit: 1000})
	if err != nil {
		rt.Fatalf("read: %v", err)
	}
	if len(p.Events) != len(want) || p.Head.Seq != room.Seq(len(log)) || p.Prev != pruned {
		rt.Fatalf("%s has %d events after %d and head %d, not %d and %d", id, len(p.Events), p.Prev, p.Head.Seq, len(want), len(log))
	}
	for i, e := range p.Events {
		e.Mark, e.At = 0, want[i].At
		if !sameEvent(e, want[i]) {
			rt.Fatalf("event %d of %s is %+v, not %+v", i+1, id, e, want[i])
		}
	}
}
