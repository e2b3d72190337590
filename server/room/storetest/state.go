package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

// set is a send that changes the map as data says; terms are If and what else judges it.
func set(t *testing.T, id room.ID, author, data string, terms room.StateSet) room.Send {
	t.Helper()
	s := room.Send{Room: id, Author: author, Tag: newTag(), Type: room.TypeState, Data: []byte(data), State: &terms}
	must(t, "mean", s.Mean())
	return s
}

// stateModel is what a room with a map must be: all that was ever stored, and the latest of each key.
type stateModel struct {
	events []room.Event
	keys   map[string]room.StateEntry
	floor  room.Seq // one less than the floor
	set    bool     // there ever was a key
	swept  room.Seq // state events may be gone up to here
	pruned room.Seq // and keys that were deleted
}

// append is what a store must answer.
func (m *stateModel) append(s room.Send) room.Verdict {
	for _, e := range m.events {
		if e.Tag == s.Tag && e.Author == s.Author {
			if e.Type != s.Type || string(e.Data) != string(s.Data) {
				return room.Verdict{Refused: room.TagConflict()}
			}
			return room.Verdict{Seq: e.Seq, Duplicate: true}
		}
	}
	seq := room.Seq(len(m.events) + 1)
	if s.State != nil {
		after := make(map[string]room.StateEntry)
		for k, e := range m.keys {
			after[k] = e
		}
		var current []room.StateEntry
		for _, c := range s.State.Changes {
			e := m.keys[c.Key]
			if s.State.If && (e.Seq > s.State.Seq && s.State.Seq > 0 || s.State.Seq == 0 && e.Value != nil) {
				current = append(current, e)
			}
			after[c.Key] = room.StateEntry{Key: c.Key, Value: c.Value, Seq: seq, Author: s.Author}
		}
		keysBefore, bytesBefore := sizeOf(m.keys)
		keys, bytes := sizeOf(after)
		switch {
		case current != nil:
			return room.Verdict{Refused: room.Conflict(current)}
		case keys > s.State.Keys && keys > keysBefore:
			return room.Verdict{Refused: room.TooMuchState("keys", s.State.Keys)}
		case bytes > s.State.Bytes && bytes > bytesBefore:
			return room.Verdict{Refused: room.TooMuchState("bytes", s.State.Bytes)}
		}
		m.keys, m.set = after, true
		m.forget(s.State)
	}
	m.events = append(m.events, room.Event{Seq: seq, Type: s.Type, Author: s.Author, Tag: s.Tag, Data: s.Data})
	return room.Verdict{Seq: seq}
}

// forget lets go of deleted keys of which there are more than there may be keys.
func (m *stateModel) forget(set *room.StateSet) {
	deletes := slices.ContainsFunc(set.Changes, func(c room.StateChange) bool { return c.Value == nil })
	var dead []room.Seq
	for _, e := range m.keys {
		if e.Value == nil {
			dead = append(dead, e.Seq)
		}
	}
	if slices.Sort(dead); !deletes || len(dead) <= set.Keys {
		return
	}
	m.pruned = dead[len(dead)-set.Keys-1]
	for k, e := range m.keys {
		if e.Value == nil && e.Seq <= m.pruned {
			delete(m.keys, k)
		}
	}
}

func sizeOf(keys map[string]room.StateEntry) (n, bytes int) {
	for k, e := range keys {
		if e.Value != nil {
			n, bytes = n+1, bytes+len(k)+len(e.Value)
		}
	}
	return n, bytes
}

// page is what a store must give for a query that lists the log layer alone.
func (m *stateModel) page(q room.Query) (prev, end room.Seq, events []room.Seq, state []room.StateEntry, full bool) {
	head := room.Seq(len(m.events))
	at := min(max(q.Seq, m.floor), head)
	var low, high []room.Seq // before and behind what is asked for
	if q.Anchor == room.Before {
		at = min(max(q.Seq-1, m.floor), head)
	}
	for _, e := range m.events[m.floor:] {
		switch {
		case !e.InLog():
		case q.Anchor == room.After && e.Seq > at:
			high = append(high, e.Seq)
		case q.Anchor == room.Latest || q.Anchor == room.Before && e.Seq <= at:
			low = append(low, e.Seq)
		}
	}
	switch {
	case q.Anchor == room.After:
		prev, end, events = at, head, high
		if len(high) > q.Limit {
			events = high[:q.Limit]
			end = events[q.Limit-1]
		}
	default:
		prev, end, events = m.floor, head, low
		if q.Anchor == room.Before {
			end = at
		}
		if len(low) >= q.Limit {
			events = low[len(low)-q.Limit:]
			prev = events[0] - 1
		}
	}
	if q.Anchor == room.Before {
		return prev, end, events, nil, false
	}
	full = m.set && (q.State == room.StateWhole || q.Anchor == room.After && q.Seq != prev || prev < m.pruned)
	for _, e := range m.keys {
		if e.Seq <= end && (full && e.Value != nil || !full && e.Seq > prev) {
			state = append(state, e)
		}
	}
	slices.SortFunc(state, func(a, b room.StateEntry) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Key, b.Key))
	})
	return prev, end, events, state, full
}

// testStateModel runs random sends, prunings and sweeps beside the model and compares every kind of page (STATE-1 to STATE-8, STATE-12, DOC-12).
func testStateModel(t *testing.T, f Factory) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s, id := f.open(t), room.ID("board:model")
	m := &stateModel{keys: map[string]room.StateEntry{}}
	var sent []room.Send
	draw := func() room.Send {
		if len(sent) > 0 && rnd.IntN(6) == 0 {
			return sent[rnd.IntN(len(sent))] // a repeat, whatever has become of the map
		}
		switch rnd.IntN(6) {
		case 0, 1:
			return say(id, fmt.Sprintf("u%d", rnd.IntN(3)), "x")
		case 2:
			return update(id, "main", "x")
		}
		changes := map[string]any{}
		for range 1 + rnd.IntN(3) {
			key := string(rune('a'+rnd.IntN(7))) + "\"é"
			if changes[key] = rnd.IntN(100); rnd.IntN(3) == 0 {
				changes[key] = nil
			} else if rnd.IntN(8) == 0 {
				changes[key] = strings.Repeat("x", 60)
			}
		}
		data, _ := json.Marshal(changes)
		terms := room.StateSet{Keys: 5, Bytes: 120}
		if terms.If = rnd.IntN(3) == 0; terms.If {
			terms.Seq = max(0, int64(len(m.events))-rnd.Int64N(6))
			if rnd.IntN(3) == 0 {
				terms.Seq = 0
			}
		}
		return set(t, id, fmt.Sprintf("u%d", rnd.IntN(3)), string(data), terms)
	}
	for step := range 120 {
		batch := make([]room.Send, 1+rnd.IntN(6))
		want := make([]room.Verdict, len(batch))
		for i := range batch {
			batch[i] = draw()
			want[i] = m.append(batch[i])
			sent = append(sent, batch[i])
		}
		for i, v := range mustAppend(t, s, batch...).Verdicts {
			checkStateVerdict(t, batch[i], v, want[i])
			if want[i].Refused == nil && !want[i].Duplicate {
				m.store(v, batch[i])
			}
		}
		switch head := room.Seq(len(m.events)); step {
		case 40, 80: // all that was stored until now is old, and some of it is swept in steps
			f.Backdate(t, id, 1, head+1, 2*time.Hour)
			sent = sent[len(sent)-len(batch):] // their tags are forgotten
			m.sweep(t, s, id)
			sent = nil
		case 60: // updates that are compacted keep nothing
			kept, err := s.(room.DocStore).KeepDocs(within(t), id, mustHead(t, s, id).Epoch, 0, head, []room.Doc{{Name: "main", ID: "x", Seq: 1, Mark: 1, State: []byte("x")}})
			if must(t, "keep documents", err); !kept {
				t.Fatal("the documents were not kept")
			}
			mustPrune(t, s, id, room.Retention{Events: 12}, 1000)
			others := 0
			for i := head; i > m.floor; i-- {
				if !m.events[i-1].InLog() {
					continue
				}
				if others++; others == 12 {
					m.floor = i - 1
				}
			}
		}
		checkStatePages(t, s, id, m, rnd)
	}
}

// store keeps the time and the mark that the store chose.
func (m *stateModel) store(v room.Verdict, s room.Send) {
	m.events[v.Seq-1].At, m.events[v.Seq-1].Mark = v.At, v.Mark
	if s.State == nil {
		return
	}
	for _, c := range s.State.Changes {
		if e := m.keys[c.Key]; e.Seq == v.Seq {
			e.At = v.At
			m.keys[c.Key] = e
		}
	}
}

// sweep removes what is old: events of the type state, but not what was deleted of the map, whose times are not moved by the suite.
func (m *stateModel) sweep(t *testing.T, s room.Store, id room.ID) {
	t.Helper()
	var after room.ID
	for range 1000 {
		next, n, err := s.(room.StateKeeper).SweepState(within(t), id.Kind(), time.Hour, month, after, 7)
		must(t, "sweep state", err)
		if after = next; n < 7 && next == "" {
			break
		}
	}
	for i := range m.events {
		if m.events[i].Type == room.TypeState {
			m.swept = m.events[i].Seq
			m.events[i].Tag = room.Tag{}
		}
	}
}

func checkStateVerdict(t *testing.T, s room.Send, got, want room.Verdict) {
	t.Helper()
	if got.Seq != want.Seq || got.Duplicate != want.Duplicate || (got.Refused == nil) != (want.Refused == nil) {
		t.Fatalf("STATE-3, STATE-4: %s with %+v is answered with %+v, %v, not %+v, %v", s.Data, s.State, got, got.Refused, want, want.Refused)
	}
	if got.Refused == nil {
		return
	}
	if got.Refused.Code != want.Refused.Code || got.Refused.Field != want.Refused.Field || got.Refused.Limit != want.Refused.Limit {
		t.Fatalf("STATE-6: %s is refused by %+v, not %+v", s.Data, got.Refused, want.Refused)
	}
	a, b := got.Refused.Current, want.Refused.Current
	byKey := func(a, b room.StateEntry) int { return cmp.Compare(a.Key, b.Key) }
	slices.SortFunc(a, byKey)
	slices.SortFunc(b, byKey)
	if len(a) != len(b) {
		t.Fatalf("STATE-3: %s: %d keys are in the way, not %d", s.Data, len(a), len(b))
	}
	for i := range a {
		if a[i].Key != b[i].Key || a[i].Seq != b[i].Seq || a[i].Author != b[i].Author || string(a[i].Value) != string(b[i].Value) {
			t.Fatalf("STATE-3: %s: in the way is %+v, not %+v", s.Data, a[i], b[i])
		}
	}
}

func checkStatePages(t *testing.T, s room.Store, id room.ID, m *stateModel, rnd *rand.Rand) {
	t.Helper()
	head := room.Seq(len(m.events))
	for _, q := range []room.Query{
		{Anchor: room.After, Seq: rnd.Int64N(head + 1), State: room.StateChanges},
		{Anchor: room.After, Seq: 0, State: room.StateWhole},
		{Anchor: room.Latest, State: room.StateWhole},
		{Anchor: room.Before, Seq: 1 + rnd.Int64N(head+1)},
	} {
		q.Room, q.Limit = id, 1+rnd.IntN(20)
		got := mustRead(t, s, q)
		if !got.Layered {
			if slices.ContainsFunc(m.events, func(e room.Event) bool { return !e.InLog() }) {
				t.Fatalf("the room has had no other layers, by %+v", q)
			}
			continue
		}
		prev, end, events, state, full := m.page(q)
		var seqs []room.Seq
		for _, e := range got.Events {
			seqs = append(seqs, e.Seq)
		}
		if got.Prev != prev || got.Seq() != end || !slices.Equal(seqs, events) || got.Full != full {
			t.Fatalf("STATE-12: %+v gives (%d,%d] %v full=%v, not (%d,%d] %v full=%v", q, got.Prev, got.Seq(), seqs, got.Full, prev, end, events, full)
		}
		docs := q.Anchor != room.Before && slices.ContainsFunc(m.events[prev:max(prev, end)], func(e room.Event) bool { return e.Type == room.TypeDoc })
		if got.Docs != docs {
			t.Fatalf("DOC-12: %+v gives (%d,%d] docs=%v, not %v", q, prev, end, got.Docs, docs)
		}
		if end > 0 && got.Position().Mark != 0 && got.Position().Mark != m.events[end-1].Mark {
			t.Fatalf("POS-2: the mark of %d is %s, not %s", end, got.Position().Mark, m.events[end-1].Mark)
		}
		if len(got.State) != len(state) {
			t.Fatalf("STATE-7: %+v gives %d keys, not %d: %+v, not %+v", q, len(got.State), len(state), got.State, state)
		}
		for i, e := range got.State {
			if w := state[i]; e.Key != w.Key || e.Seq != w.Seq || e.Author != w.Author || string(e.Value) != string(w.Value) || (e.Value == nil) != (w.Value == nil) || !e.At.Equal(w.At) {
				t.Fatalf("STATE-5: a key is %+v, not %+v", e, w)
			}
		}
		if q.Anchor == room.After {
			left := int64(0)
			for _, e := range m.events[max(end, m.floor):] {
				if e.InLog() {
					left++
				}
			}
			if got.Left != left {
				t.Fatalf("JOIN-6: after %d there are %d events, said is %d", end, left, got.Left)
			}
		}
	}
	// The newest part of the log is dense for who lists everything.
	from := max(m.swept, m.floor)
	got := mustRead(t, s, room.Query{Room: id, Anchor: room.After, Seq: from, Limit: 1000})
	checkDense(t, got.Events, from+1, int(head-from))
	if got := mustRead(t, s, room.Query{Room: id, Anchor: room.Latest, Limit: 1000}); got.Prev != from {
		t.Fatalf("ROOM-5: what is kept of the log begins at %d, not %d", got.Prev, from)
	}
}

// testStateRace has writers of both handles set one key by compare-and-set from what they read: each value has one that follows it (I15).
func testStateRace(t *testing.T, f Factory) {
	hs, id := f.pair(t), room.ID("board:race")
	const each = 20
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			s := hs[w%2]
			for done := 0; done < each; {
				p, err := s.Read(t.Context(), room.Query{Room: id, Anchor: room.Latest, Limit: 1, State: room.StateWhole})
				if err != nil {
					t.Error(err)
					return
				}
				n, seq := 0, room.Seq(0)
				for _, e := range p.State {
					seq = e.Seq
					if err := json.Unmarshal(e.Value, &n); err != nil {
						t.Error(err)
						return
					}
				}
				send := room.Send{Room: id, Author: "u1", Tag: newTag(), Type: room.TypeState, Data: fmt.Appendf(nil, `{"n":%d}`, n+1), State: &room.StateSet{If: true, Seq: seq}}
				if err := send.Mean(); err != nil {
					t.Error(err)
					return
				}
				out, err := s.Append(t.Context(), []room.Send{send})
				if err != nil {
					t.Error(err)
					return
				}
				if v := out.Verdicts[0]; v.Refused == nil {
					done++
				} else if v.Refused.Code != room.CodeConflict || len(v.Refused.Current) != 1 || v.Refused.Current[0].Seq <= seq {
					t.Errorf("STATE-3: a lost race is told as %+v", v.Refused)
					return
				}
			}
		})
	}
	group.Wait()
	p := mustRead(t, hs[0], room.Query{Room: id, Anchor: room.Latest, Limit: 1, State: room.StateWhole})
	if len(p.State) != 1 || string(p.State[0].Value) != fmt.Sprint(4*each) || p.Head.Seq != 4*each {
		t.Fatalf("I15: after %d increments the counter is %+v, at %d", 4*each, p.State, p.Head.Seq)
	}
}

// testStateErased erases a user, whose values go, and deletes a room, of which nothing is left.
func testStateErased(t *testing.T, f Factory) {
	s, id := f.open(t), room.ID("board:erased")
	mustAppend(t, s, set(t, id, "u1", `{"a":"secret-value","b":1}`, room.StateSet{}), set(t, id, "u2", `{"b":2,"c":3}`, room.StateSet{}))
	eraseUser(t, s, "u1", id, newTag(), room.Erased{Stored: 3, Events: 1})
	p := mustRead(t, s, room.Query{Room: id, Anchor: room.After, Limit: 10, State: room.StateChanges})
	var told []string
	for _, e := range p.State {
		told = append(told, fmt.Sprintf("%s=%s@%d by %s", e.Key, e.Value, e.Seq, e.Author))
	}
	if want := []string{"b=2@2 by u2", "c=3@2 by u2", "a=@3 by admin"}; !slices.Equal(told, want) {
		t.Fatalf("STATE-15: the map is %v, not %v", told, want)
	}
	if f.Holds != nil {
		if where := f.Holds(t, []byte("secret-value")); len(where) > 0 {
			t.Fatalf("STATE-15: what was erased is still in %v", where)
		}
	}
	if out := mustAppend(t, s, set(t, id, "u2", `{"a":1}`, room.StateSet{If: true})); out.Verdicts[0].Refused != nil {
		t.Fatalf("STATE-3: a key that was erased has no value, but: %v", out.Verdicts[0].Refused)
	}
	_, _, err := s.(room.Rooms).Delete(within(t), id)
	must(t, "delete", err)
	for more := true; more; {
		out, err := s.(room.Pruner).Sweep(within(t), month, 100)
		must(t, "sweep", err)
		more = out.More
	}
	if p := mustRead(t, s, room.Query{Room: id, Anchor: room.Latest, Limit: 10, State: room.StateWhole}); p.Layered || len(p.State) > 0 {
		t.Fatalf("ROOM-10: a deleted room has %+v", p)
	}
}

// testStateDead bounds what is remembered of deleted keys, by number and by age: who comes from before is given the whole map (STATE-10).
func testStateDead(t *testing.T, f Factory) {
	s, id := f.open(t), room.ID("board:dead")
	terms := room.StateSet{Keys: 3}
	mustAppend(t, s, set(t, id, "u1", `{"keep":1}`, terms))
	for i := range 5 {
		mustAppend(t, s, set(t, id, "u1", fmt.Sprintf(`{"k%d":1}`, i), terms), set(t, id, "u1", fmt.Sprintf(`{"k%d":null}`, i), terms))
	}
	read := func(after room.Seq) (n int, full bool) {
		p := mustRead(t, s, room.Query{Room: id, Anchor: room.After, Seq: after, Limit: 10, State: room.StateChanges})
		return len(p.State), p.Full
	}
	if n, full := read(4); n != 1 || !full {
		t.Errorf("STATE-10: from before the oldest that is remembered there are %d keys, full %v", n, full)
	}
	if n, full := read(5); n != 3 || full {
		t.Errorf("STATE-10: from behind it there are %d keys, full %v", n, full)
	}
	_, _, err := s.(room.StateKeeper).SweepState(within(t), "board", 0, -time.Hour, "", 100) // everything is older
	must(t, "sweep state", err)
	if n, full := read(10); n != 1 || !full {
		t.Errorf("STATE-10: when none is remembered there are %d keys, full %v", n, full)
	}
	if n, full := read(11); n != 0 || full {
		t.Errorf("STATE-10: who stands at the head is given %d keys, full %v", n, full)
	}
}
