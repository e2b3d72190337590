package hub

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// model is a store in memory: faithful in tags, marks, epochs and per-room dense seqs, and faulty on
// demand. Its calls are atomic, as a transaction is.
type model struct {
	onAppend func(ctx context.Context, batch []room.Send) fault // nil: none
	onRead   func(ctx context.Context, q room.Query) error      // runs after the snapshot was taken; nil: none

	appends, reads, heads atomic.Int64

	mu    sync.Mutex
	rooms map[room.ID]*modelLog
}

// fault is what befalls an append: an error, after or instead of the commit.
type fault struct {
	err    error
	commit bool // with err: the batch is stored nevertheless
}

type modelLog struct {
	epoch  room.Epoch
	events []room.Event
	floor  room.Seq
	tags   map[string]room.Seq
}

// poison is a body that the store fails to keep, whatever the batch.
var poison = []byte(`"poison"`)

var errPoison = errors.New("value cannot be stored")

func newModel() *model { return &model{rooms: make(map[room.ID]*modelLog)} }

func (m *model) log(id room.ID) *modelLog {
	l := m.rooms[id]
	if l == nil {
		l = &modelLog{epoch: "e1", floor: 1, tags: make(map[string]room.Seq)}
		m.rooms[id] = l
	}
	return l
}

func (l *modelLog) head(id room.ID) room.Head {
	h := room.Head{Room: id, Epoch: l.epoch, Floor: l.floor, Seq: room.Seq(len(l.events))}
	h.Mark, h.FloorMark = l.mark(h.Seq), l.mark(l.floor-1)
	return h
}

func (l *modelLog) mark(seq room.Seq) room.Mark {
	if seq == 0 {
		return 0
	}
	return l.events[seq-1].Mark
}

func (m *model) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	m.appends.Add(1)
	var f fault
	if m.onAppend != nil {
		f = m.onAppend(ctx, batch)
	}
	for _, s := range batch {
		if bytes.Equal(s.Data, poison) {
			return room.Appended{}, errPoison
		}
	}
	if f.err != nil && !f.commit {
		return room.Appended{}, f.err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.append(batch)
	return out, f.err
}

func (m *model) append(batch []room.Send) room.Appended {
	out := room.Appended{Verdicts: make([]room.Verdict, len(batch))}
	before := make(map[room.ID]room.Head)
	mark := room.Mark(rand.Uint32() | 1)
	for i, s := range batch {
		l := m.log(s.Room)
		if _, ok := before[s.Room]; !ok {
			before[s.Room] = l.head(s.Room)
		}
		key := s.Author + "/" + s.Tag.String()
		v := &out.Verdicts[i]
		if seq := l.tags[key]; seq != 0 {
			e := l.events[seq-1]
			v.Seq, v.Mark, v.At, v.Duplicate = seq, e.Mark, e.At, true
			if !s.Repeat && (e.Type != s.Type || !bytes.Equal(e.Data, s.Data)) {
				*v = room.Verdict{Refused: room.TagConflict()}
			}
			continue
		}
		if s.Repeat {
			v.NotStored = true
			continue
		}
		v.Seq, v.Mark, v.At = room.Seq(len(l.events))+1, mark, time.Unix(1700000000, int64(len(l.events))*1000).UTC()
		l.tags[key] = v.Seq
		l.events = append(l.events, room.Event{
			Seq: v.Seq, Mark: mark, Type: s.Type, Author: s.Author, Tag: s.Tag, At: v.At, Data: bytes.Clone(s.Data),
		})
	}
	for id, b := range before {
		out.Rooms = append(out.Rooms, room.Growth{Head: m.log(id).head(id), Before: b.Seq, BeforeMark: b.Mark})
	}
	return out
}

func (m *model) Read(ctx context.Context, q room.Query) (room.Page, error) {
	m.reads.Add(1)
	m.mu.Lock()
	p := m.page(q)
	m.mu.Unlock()
	if m.onRead != nil {
		if err := m.onRead(ctx, q); err != nil {
			return room.Page{}, err
		}
	}
	return p, ctx.Err()
}

func (m *model) page(q room.Query) room.Page {
	l := m.log(q.Room)
	prev, last, center := q.Span(l.floor, room.Seq(len(l.events)))
	p := room.Page{Head: l.head(q.Room), Prev: prev, Events: l.events[prev:last:last]}
	size := 0
	for _, e := range p.Events {
		size += len(e.Data)
	}
	for q.MaxBytes > 0 && size > q.MaxBytes && len(p.Events) > 1 {
		if n := len(p.Events); center <= p.Prev || q.Anchor == room.After { // those nearest to center stay
			size -= len(p.Events[n-1].Data)
			p.Events = p.Events[:n-1]
		} else {
			size -= len(p.Events[0].Data)
			p.Events = p.Events[1:]
			p.Prev++
		}
	}
	p.PrevMark = l.mark(p.Prev)
	return p
}

func (m *model) Heads(_ context.Context, ids []room.ID) ([]room.Head, error) {
	m.heads.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []room.Head
	for _, id := range ids {
		out = append(out, m.log(id).head(id))
	}
	return out, nil
}

func (m *model) Info() room.Info { return room.Info{Name: "model", Durability: "full"} }
func (m *model) Close() error    { return nil }

// grow stores n events as another node would: this one does not hear of it.
func (m *model) grow(id room.ID, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		m.append([]room.Send{send(id)})
	}
}

// restore takes a room back to an earlier head, as an old backup would.
func (m *model) restore(id room.ID, head room.Seq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(id)
	l.events = l.events[:head:head]
	for tag, seq := range l.tags {
		if seq > head {
			delete(l.tags, tag)
		}
	}
}

// prune forgets what is below floor.
func (m *model) prune(id room.ID, floor room.Seq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log(id).floor = floor
}

// recreate gives a room another epoch and no events.
func (m *model) recreate(id room.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(id)
	*l = modelLog{epoch: l.epoch + "x", floor: 1, tags: make(map[string]room.Seq)}
}

func (m *model) headOf(id room.ID) room.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log(id).head(id)
}

// at is the position of seq.
func (m *model) at(id room.ID, seq room.Seq) room.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(id)
	return room.Position{Epoch: l.epoch, Seq: seq, Mark: l.mark(seq)}
}

// event is the stored event at seq as it stands on the wire; nil: there is none.
func (m *model) event(id room.ID, seq room.Seq) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(id)
	if seq < 1 || seq > room.Seq(len(l.events)) {
		return nil
	}
	return wire.AppendEvent(nil, id, &l.events[seq-1])
}

var tags atomic.Uint64

// newTag makes a tag that no other call makes.
func newTag() room.Tag {
	var t room.Tag
	binary.BigEndian.PutUint64(t[8:], tags.Add(1))
	return t
}

// send makes a send of its own.
func send(id room.ID) room.Send { return sendOf(id, 16) }

// sendOf makes a send with about size bytes of data.
func sendOf(id room.ID, size int) room.Send {
	t := newTag()
	return room.Send{
		Room: id, Author: "ann", Tag: t, Type: "message",
		Data: fmt.Appendf(nil, `{"text":"%0*d"}`, max(size-11, 1), binary.BigEndian.Uint64(t[8:])),
	}
}

// newHub starts a hub over a store and stops it with the test.
func newHub(t testing.TB, cfg Config) *Hub {
	t.Helper()
	or(&cfg.CheckEvery, time.Hour) // reads are counted
	or(&cfg.PingEvery, time.Hour)  // and frames; nobody here answers a ping
	h := New(cfg)
	h.Start()
	t.Cleanup(func() { stop(t, h) })
	return h
}

func stop(t testing.TB, h *Hub) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := h.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// submit sends and waits for the outcome.
func submit(h *Hub, s Submit) Outcome {
	done := make(chan Outcome, 2)
	h.Submit(s, func(o Outcome) { done <- o })
	return <-done
}
