package receipts

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roomlog/server/room"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = &room.Error{Code: room.CodeUnavailable, Title: "The store is down."}

// memory is a store that several nodes share, with as much of one as these tests need: rooms of so many messages of nobody, and
// receipts. The conformance of stores is storetest's.
type memory struct {
	mu      sync.Mutex
	heads   map[room.ID]room.Seq
	epochs  map[room.ID]int
	rows    map[room.ID]map[string]room.Receipt
	version map[room.ID]int64
	removed map[room.ID]int64
	down    bool
	batches [][]room.Marking
	hold    chan struct{} // a marking takes one before it is stored; nil: it does not
}

func newMemory() *memory {
	return &memory{heads: map[room.ID]room.Seq{}, epochs: map[room.ID]int{}, rows: map[room.ID]map[string]room.Receipt{}, version: map[room.ID]int64{}, removed: map[room.ID]int64{}}
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) epoch(id room.ID) room.Epoch { return room.Epoch("e" + strconv.Itoa(m.epochs[id])) }

func (m *memory) Mark(ctx context.Context, batch []room.Marking) ([]room.Marked, error) {
	if m.hold != nil {
		select {
		case <-m.hold:
		case <-ctx.Done():
			return nil, room.ErrOutcomeUnknown
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	m.batches = append(m.batches, batch)
	out := make([]room.Marked, len(batch))
	before := map[room.ID]int64{}
	for i, k := range batch {
		if _, seen := before[k.Room]; !seen {
			before[k.Room] = m.version[k.Room]
		}
		c := m.rows[k.Room][k.User]
		read, delivered := max(c.Read, min(k.Read, m.heads[k.Room])), max(c.Delivered, min(max(k.Read, k.Delivered), m.heads[k.Room]))
		if read != c.Read || delivered != c.Delivered {
			m.version[k.Room]++
			c = room.Receipt{User: k.User, Delivered: delivered, Read: read, Version: m.version[k.Room]}
			if m.rows[k.Room] == nil {
				m.rows[k.Room] = map[string]room.Receipt{}
			}
			m.rows[k.Room][k.User] = c
		}
		out[i] = room.Marked{Room: k.Room, Receipt: c, Epoch: m.epoch(k.Room), Before: before[k.Room]}
		out[i].User = k.User
	}
	for i := range out {
		out[i].After = m.version[out[i].Room]
	}
	return out, nil
}

func (m *memory) ReceiptsSince(_ context.Context, id room.ID, version int64, limit int) (room.ReceiptPage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return room.ReceiptPage{}, errDown
	}
	p := room.ReceiptPage{Epoch: m.epoch(id), Version: m.version[id], Removed: m.removed[id]}
	for _, c := range m.rows[id] {
		if c.Version > version {
			p.Receipts = append(p.Receipts, c)
		}
	}
	slices.SortFunc(p.Receipts, func(a, b room.Receipt) int { return cmp.Compare(a.Version, b.Version) })
	if len(p.Receipts) > limit {
		p.Receipts, p.More = p.Receipts[:limit], true
		p.Version = p.Receipts[limit-1].Version
	}
	return p, nil
}

func (m *memory) ReceiptTotals(_ context.Context, id room.ID) (room.ReceiptTotals, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return room.ReceiptTotals{}, errDown
	}
	t := room.ReceiptTotals{Epoch: m.epoch(id), Version: m.version[id], Users: len(m.rows[id])}
	t.Read.All, t.Delivered.All = room.MaxSeq, room.MaxSeq
	for _, c := range m.rows[id] {
		t.Read = room.Reach{Any: max(t.Read.Any, c.Read), All: min(t.Read.All, c.Read)}
		t.Delivered = room.Reach{Any: max(t.Delivered.Any, c.Delivered), All: min(t.Delivered.All, c.Delivered)}
	}
	return t, nil
}

func (m *memory) Own(_ context.Context, asked []room.Standing) ([]room.Own, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	out := make([]room.Own, len(asked))
	for i, a := range asked {
		c := m.rows[a.Room][a.User]
		c.User = a.User
		out[i] = room.Own{Room: a.Room, Receipt: c, Epoch: m.epoch(a.Room), Head: m.heads[a.Room], Unread: int(m.heads[a.Room] - c.Read)}
	}
	return out, nil
}

func (m *memory) Readers(context.Context, room.ID, room.Seq, int) (room.Readers, error) {
	return room.Readers{}, errDown
}

func (m *memory) ReceiptVersions(_ context.Context, ids []room.ID) ([]room.ReceiptVersion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	out := make([]room.ReceiptVersion, len(ids))
	for i, id := range ids {
		out[i] = room.ReceiptVersion{Epoch: m.epoch(id), Version: m.version[id]}
	}
	return out, nil
}

// The rest is for a hub: rooms in which nothing is ever said.

func (m *memory) Append(context.Context, []room.Send) (room.Appended, error) {
	return room.Appended{}, errDown
}

func (m *memory) Read(_ context.Context, q room.Query) (room.Page, error) {
	return room.Page{Head: m.head(q.Room)}, nil
}

func (m *memory) Heads(_ context.Context, ids []room.ID) ([]room.Head, error) {
	heads := make([]room.Head, len(ids))
	for i, id := range ids {
		heads[i] = m.head(id)
	}
	return heads, nil
}

func (m *memory) head(id room.ID) room.Head { return room.Head{Room: id, Epoch: "e", Floor: 1} }

func (m *memory) Info() room.Info { return room.Info{Name: "memory"} }
func (m *memory) Close() error    { return nil }

func (m *memory) Poke(context.Context, []room.Topic) error { return nil }
func (m *memory) Poked(_ context.Context, since string) ([]room.Topic, string, error) {
	return nil, "0", nil
}

var _ room.Receipts = (*memory)(nil)

// waitFor lets a bubble's time pass.
func waitFor(d time.Duration) { time.Sleep(d) }
