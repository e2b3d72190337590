package receipts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/bus/local"
	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// node is a desk with its hub, and what joins it to the others.
type node struct {
	*Desk
	hub  *hub.Hub
	mute bool // what its desk says is lost
}

// join starts a node of a cluster. Nodes look at versions every checkEvery.
func join(t *testing.T, m *memory, medium *local.Medium, name string, checkEvery time.Duration) *node {
	t.Helper()
	n := &node{}
	var link *cluster.Node
	n.Desk = New(Config{
		Store: m, Kinds: room.NewKinds(nil), Named: 3, CheckEvery: checkEvery,
		Say: func(id room.ID, body []byte) {
			if !n.mute {
				link.Say(id, cluster.PartReceipts, body)
			}
		},
	})
	link = cluster.New(cluster.Config{
		Bus: medium.Join("main", room.BusOptions{}), Pokes: m, Name: name, Cluster: "main", Key: []byte("a key that all nodes of these tests have"),
		Access: func(context.Context) error { return nil },
		Hears:  map[cluster.Part]cluster.Hearer{cluster.PartReceipts: func(_ cluster.Peer, id room.ID, body []byte) { n.Hear(id, body) }},
	})
	cfg := hub.Config{Store: m, Workers: 1, CheckEvery: time.Hour, Link: link}
	cfg.Beside[hub.SideReceipts] = n.Desk
	n.hub = hub.New(cfg)
	n.Start(n.hub)
	link.Start(n.hub)
	n.hub.Start()
	t.Cleanup(func() {
		n.Stop(context.Background())
		if err := errors.Join(n.hub.Stop(context.Background()), link.Stop(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return n
}

// mark marks and waits for the answer.
func (n *node) mark(t *testing.T, id room.ID, user string, read room.Seq) room.Own {
	t.Helper()
	type outcome struct {
		own room.Own
		err error
	}
	answered := make(chan outcome, 1)
	n.Mark(room.Marking{Room: id, User: user, Read: read}, func(o room.Own, err error) { answered <- outcome{o, err} })
	o := <-answered
	if o.err != nil {
		t.Fatalf("mark: %v", o.err)
	}
	return o.own
}

// tab is a connection that reads a room and its receipts.
type tab struct {
	mu    sync.Mutex
	buf   []byte
	told  []string            // what it was told of its user: read/unread
	marks map[string]room.Seq // of all, by user: read
	all   int                 // how far all have read, where nobody is named; -1: it was not said
	fault error
	conn  *hub.Conn
}

func (n *node) open(t *testing.T, id room.ID, user string) *tab {
	t.Helper()
	b := &tab{marks: map[string]room.Seq{}, all: -1}
	var err error
	if b.conn, err = n.hub.Attach(b, wire.EventStream); err != nil {
		t.Fatal(err)
	}
	j := hub.Join{Room: id, Replay: -1, With: hub.SideSet(0).Of(hub.SideReceipts), Guest: &hub.Guest{User: user}}
	if err := b.conn.Join(t.Context(), j, func(hub.Joined) []byte { return []byte("event: joined\ndata: {}\n\n") }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.conn.Detach)
	return b
}

func (b *tab) TryWrite(bufs [][]byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, p := range bufs {
		n += len(p)
		b.buf = append(b.buf, p...)
	}
	for {
		event, rest, whole := bytes.Cut(b.buf, []byte("\n\n"))
		if !whole {
			return n, nil
		}
		b.take(event)
		b.buf = rest
	}
}

func (b *tab) WriteAll(p []byte) error { _, err := b.TryWrite([][]byte{p}); return err }
func (b *tab) Close(*room.Error)       {}

func (b *tab) take(event []byte) {
	if bytes.HasPrefix(event, []byte(":")) { // a ping
		return
	}
	name, data, _ := bytes.Cut(event, []byte("\ndata: "))
	var f struct {
		Full, Counts bool
		Read         json.RawMessage
		Unread       int
		Gone         []string
		Set          []struct {
			User string
			Read room.Seq
		}
	}
	if err := json.Unmarshal(data, &f); err != nil && b.fault == nil {
		b.fault = fmt.Errorf("%s: %w", event, err)
	}
	switch string(name) {
	case "event: marked":
		b.told = append(b.told, fmt.Sprintf("%s/%d", f.Read, f.Unread))
	case "event: receipts":
		if f.Full {
			clear(b.marks)
		}
		for _, v := range f.Set {
			b.marks[v.User] = v.Read
		}
		for _, user := range f.Gone {
			delete(b.marks, user)
		}
		if f.Counts {
			var reach room.Reach
			if err := json.Unmarshal(f.Read, &reach); err == nil {
				b.all = int(reach.All)
			}
		}
	}
}

func (b *tab) check(t *testing.T, what string, told []string, marks map[string]room.Seq) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil || !slices.Equal(b.told, told) || fmt.Sprint(b.marks) != fmt.Sprint(marks) {
		t.Errorf("%s: told %v, marks %v (%v), not %v and %v", what, b.told, b.marks, b.fault, told, marks)
	}
}

// RCPT-4, RCPT-10: a mark reaches all tabs of its user on three nodes with the same unread; where the last hint of it is lost, it is told when
// versions are looked at, and whoever's mark it is not is told the mark alone.
func TestMarksReachEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, medium, id := newMemory(), local.NewMedium(), room.ID("chat:a")
		m.heads[id] = 10
		var nodes []*node
		var tabs []*tab
		for i := range 3 {
			nodes = append(nodes, join(t, m, medium, fmt.Sprint("n", i), 15*time.Second))
		}
		waitFor(time.Second)
		for _, n := range nodes {
			tabs = append(tabs, n.open(t, id, "u1"))
		}
		theirs := nodes[1].open(t, id, "u2")
		waitFor(200 * time.Millisecond)
		if o := nodes[0].mark(t, id, "u1", 4); o.Read != 4 || o.Unread != 6 {
			t.Errorf("RCPT-3: answered with %+v", o)
		}
		waitFor(300 * time.Millisecond)
		marks := map[string]room.Seq{"u1": 4}
		for i, b := range tabs {
			b.check(t, fmt.Sprint("tab ", i), []string{"0/10", "4/6"}, marks)
		}
		theirs.check(t, "u2", []string{"0/10"}, marks)

		nodes[2].mute = true
		nodes[2].mark(t, id, "u1", 7)
		waitFor(300 * time.Millisecond)
		tabs[2].check(t, "where it was marked", []string{"0/10", "4/6", "7/3"}, map[string]room.Seq{"u1": 7})
		tabs[0].check(t, "a node that heard nothing", []string{"0/10", "4/6"}, marks)
		waitFor(15 * time.Second)
		marks["u1"] = 7
		for i, b := range tabs {
			b.check(t, fmt.Sprint("RCPT-10: tab ", i), []string{"0/10", "4/6", "7/3"}, marks)
		}
		theirs.check(t, "u2", []string{"0/10"}, marks)

		// A later hint that does not adjoin shows that one was lost.
		nodes[2].mark(t, id, "u2", 5)
		waitFor(100 * time.Millisecond)
		nodes[0].mark(t, id, "u1", 8)
		waitFor(300 * time.Millisecond)
		theirs.check(t, "after a gap", []string{"0/10", "5/5"}, map[string]room.Seq{"u1": 8, "u2": 5})
	})
}

// RCPT-10: so it is when heads are compared, and with a hub that found that it may have missed something.
func TestACheckOfHeadsLooksAtReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, medium, id := newMemory(), local.NewMedium(), room.ID("chat:a")
		m.heads[id] = 10
		a, b := join(t, m, medium, "a", time.Hour), join(t, m, medium, "b", time.Hour)
		waitFor(time.Second)
		there := b.open(t, id, "u1")
		waitFor(time.Second)
		a.mute = true
		a.mark(t, id, "u1", 3)
		waitFor(10 * time.Second)
		there.check(t, "before", []string{"0/10"}, map[string]room.Seq{})
		b.hub.CheckAll(t.Context())
		waitFor(200 * time.Millisecond)
		there.check(t, "after", []string{"0/10", "3/7"}, map[string]room.Seq{"u1": 3})
		if s := b.Stats(); s.Loads != 2 || s.Repairs != 1 {
			t.Errorf("counted are %+v", s)
		}
		// What a hint says of another epoch, or what cannot be read, is looked up.
		m.set(func() { m.epochs[id], m.version[id], m.heads[id] = 1, 0, 2; delete(m.rows, id) })
		b.Hear(id, []byte("what is this"))
		waitFor(200 * time.Millisecond)
		there.check(t, "after the room was deleted", []string{"0/10", "3/7"}, map[string]room.Seq{})
	})
}

// ERASE-2: marks that an erasure takes away are shown no more, on any node, and the others are.
func TestMarksThatAreErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, medium, id := newMemory(), local.NewMedium(), room.ID("chat:a")
		m.heads[id] = 10
		a, b := join(t, m, medium, "a", time.Hour), join(t, m, medium, "b", time.Hour)
		waitFor(time.Second)
		here, there := a.open(t, id, "u9"), b.open(t, id, "u9")
		a.mark(t, id, "u1", 3)
		a.mark(t, id, "u2", 4)
		waitFor(time.Second)
		there.check(t, "before", []string{"0/10"}, map[string]room.Seq{"u1": 3, "u2": 4})
		m.set(func() { m.version[id]++; m.removed[id] = m.version[id]; delete(m.rows[id], "u1") })
		for _, n := range []*node{a, b} {
			n.hub.CheckAll(t.Context())
		}
		waitFor(time.Second)
		here.check(t, "here", []string{"0/10"}, map[string]room.Seq{"u2": 4})
		there.check(t, "there", []string{"0/10"}, map[string]room.Seq{"u2": 4})
	})
}

// RCPT-9: a kind that shows less than it did shows it to nobody who reads or comes.
func TestReceiptsThatBecomePrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, medium, id := newMemory(), local.NewMedium(), room.ID("chat:a")
		m.heads[id] = 10
		n := join(t, m, medium, "a", time.Hour)
		waitFor(time.Second)
		here := n.open(t, id, "u9")
		n.mark(t, id, "u1", 3)
		waitFor(time.Second)
		here.check(t, "before", []string{"0/10"}, map[string]room.Seq{"u1": 3})
		n.cfg.Kinds.Replace(map[string]room.Policy{"chat": {Receipts: room.ShowPrivate}})
		n.Again()
		waitFor(time.Second)
		late := n.open(t, id, "u8")
		waitFor(time.Second)
		here.check(t, "who reads", []string{"0/10"}, map[string]room.Seq{})
		late.check(t, "who comes", []string{"0/10"}, map[string]room.Seq{})
		n.cfg.Kinds.Replace(nil)
		n.Again()
		waitFor(time.Second)
		late.check(t, "shown again", []string{"0/10"}, map[string]room.Seq{"u1": 3})
	})
}

// RCPT-8: once more users have marks than are named, nobody is; what all have read follows, a second later at most.
func TestManyReadersAreTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, medium, id := newMemory(), local.NewMedium(), room.ID("chat:a")
		m.heads[id] = 10
		n := join(t, m, medium, "a", time.Hour)
		waitFor(time.Second)
		b := n.open(t, id, "u0")
		waitFor(time.Second)
		for i := range 3 {
			n.mark(t, id, fmt.Sprint("u", i), room.Seq(i+2))
		}
		waitFor(time.Second)
		b.check(t, "three", []string{"0/10", "2/8"}, map[string]room.Seq{"u0": 2, "u1": 3, "u2": 4})
		n.mark(t, id, "u3", 9)
		waitFor(2500 * time.Millisecond)
		b.check(t, "four", []string{"0/10", "2/8"}, map[string]room.Seq{})
		if b.all != 2 {
			t.Errorf("RCPT-8: all have read up to %d", b.all)
		}
		n.mark(t, id, "u0", 10)
		waitFor(2500 * time.Millisecond)
		b.check(t, "own", []string{"0/10", "2/8", "10/0"}, map[string]room.Seq{})
		if b.all != 3 {
			t.Errorf("RCPT-8: all have read up to %d", b.all)
		}
	})
}

// RCPT-3: while one transaction is under way, what comes gathers for the next: of a user and room the highest marks, each asked for
// answered once.
func TestMarksGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, id := newMemory(), room.ID("chat:a")
		m.heads[id] = 100
		m.hold = make(chan struct{})
		d := New(Config{Store: m, Kinds: room.NewKinds(nil)})
		d.Start(nobody{})
		var mu sync.Mutex
		var answers []string
		mark := func(user string, delivered, read room.Seq) {
			d.Mark(room.Marking{Room: id, User: user, Delivered: delivered, Read: read}, func(o room.Own, err error) {
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, fmt.Sprint(user, " ", o.Delivered, " ", o.Read, " ", err))
			})
		}
		mark("u1", 0, 1)
		synctest.Wait()
		mark("u2", 9, 2)
		mark("u1", 0, 5)
		mark("u2", 3, 4)
		mark("u1", 0, 3)
		d.Mark(room.Marking{Room: id, User: "u3", Read: 1}, nil)
		synctest.Wait()
		m.hold <- struct{}{}
		synctest.Wait()
		m.hold <- struct{}{}
		synctest.Wait()
		want := []room.Marking{{Room: id, User: "u2", Delivered: 9, Read: 4}, {Room: id, User: "u1", Read: 5}, {Room: id, User: "u3", Read: 1}}
		if len(m.batches) != 2 || len(m.batches[0]) != 1 || !slices.Equal(m.batches[1], want) {
			t.Errorf("RCPT-3: stored as %+v", m.batches)
		}
		slices.Sort(answers)
		if got := fmt.Sprint(answers); len(answers) != 5 || got != "[u1 1 1 <nil> u1 5 5 <nil> u1 5 5 <nil> u2 9 4 <nil> u2 9 4 <nil>]" {
			t.Errorf("RCPT-3: answered %s", got)
		}
		if s := d.Stats(); s.Asked != 6 || s.Stored != 4 || s.Batches != 2 {
			t.Errorf("counted are %+v", s)
		}
		// Stopped, it stores what waits, and takes no more.
		mark("u1", 0, 50)
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { d.Stop(t.Context()); close(stopped) }()
		synctest.Wait()
		m.hold <- struct{}{}
		<-stopped
		mark("u1", 0, 60)
		if s := fmt.Sprint(answers[5:]); len(answers) != 7 || m.rows[id]["u1"].Read != 50 {
			t.Errorf("stopped: %s", s)
		}
	})
}

// A store that does not answer refuses marks retryably, and what was to be told is told when it is back.
func TestAStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, medium, id := newMemory(), local.NewMedium(), room.ID("chat:a")
		m.heads[id] = 10
		n := join(t, m, medium, "a", time.Hour)
		waitFor(time.Second)
		m.set(func() { m.down = true })
		b := n.open(t, id, "u1")
		waitFor(5 * time.Second)
		failed := make(chan error, 1)
		n.Mark(room.Marking{Room: id, User: "u1", Read: 1}, func(_ room.Own, err error) { failed <- err })
		if err := <-failed; !room.AsError(err).Retryable() {
			t.Errorf("refused by %v", err)
		}
		b.check(t, "away", nil, map[string]room.Seq{})
		m.set(func() { m.down = false })
		waitFor(2 * time.Second)
		n.mark(t, id, "u1", 2)
		waitFor(time.Second)
		b.check(t, "back", []string{"0/10", "2/8"}, map[string]room.Seq{"u1": 2})
	})
}

// A flood of marks is refused beyond a bound.
func TestMarksThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.hold = make(chan struct{})
		d := New(Config{Store: m, Kinds: room.NewKinds(nil)})
		d.Start(nobody{})
		var mu sync.Mutex
		refused := map[room.Code]int{}
		for i := range batchMost + queueMost + 10 {
			d.Mark(room.Marking{Room: "chat:a", User: fmt.Sprint(i), Read: 1}, func(_ room.Own, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused[room.AsError(err).Code]++
				}
			})
		}
		if n := refused[room.CodeOverloaded]; n < 10 || len(refused) != 1 {
			t.Errorf("refused: %v", refused)
		}
		close(m.hold)
		d.Stop(t.Context())
	})
}

// nobody is a hub that nobody reads at.
type nobody struct{}

func (nobody) SetSide(room.ID, hub.Side, hub.SideUpdate)                       {}
func (nobody) Tell(room.ID, hub.Side, string, bool, func(wire.Framing) []byte) {}
func (nobody) ReadBy(room.ID, hub.Side, string) bool                           { return false }
