// Package leasetest is the suite that every room.Leases passes, run against real servers. An adapter's test is a [Factory].
package leasetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

// Factory gives handles of the leases on one server, made for one test. What the server cannot do has a reason instead.
type Factory struct {
	// Open makes the handle of another node of a cluster. The suite closes it.
	Open func(t testing.TB, cluster string) room.Leases
	// Stop ends the server and every connection to it; Start starts it again, with nothing kept.
	Stop, Start func(t testing.TB)
	// Pause makes the server neither read nor write, with its connections open; Resume lets it go on. Where they are nil,
	// NoPause says why.
	Pause, Resume func(t testing.TB)
	NoPause       string
	// Flush removes everything that the server keeps. Where it is nil, NoFlush says why.
	Flush   func(t testing.TB)
	NoFlush string
}

// patience is what a wait may take before the test is stuck.
const patience = time.Minute

// long is a time that no lease of a test lives to see the end of; short is the least there is.
const (
	long  = time.Hour
	short = time.Second
)

// Run runs the suite. make is called once per case.
func Run(t *testing.T, make func(t testing.TB) Factory) {
	cases := []struct {
		name string
		run  func(t *testing.T, f Factory)
	}{
		{"Hold", testHold},
		{"Superseded", testSuperseded},
		{"Expires", testExpires},
		{"Renewed", testRenewed},
		{"Release", testRelease},
		{"Clusters", testClusters},
		{"Names", testNames},
		{"Race", testRace},
		{"Restart", testRestart},
		{"Flush", testFlush},
		{"Pause", testPause},
		{"Close", testClose},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, make(t)) })
	}
}

// node is a handle whose calls must work.
type node struct {
	room.Leases
	t testing.TB
}

func (f Factory) node(t testing.TB, cluster string) *node {
	t.Helper()
	n := &node{f.Open(t, cluster), t}
	t.Cleanup(func() { n.must("close", n.Close()) })
	return n
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (n *node) must(what string, err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %v", what, err)
	}
}

func (n *node) hold(name string, ttl time.Duration) room.Lease {
	n.t.Helper()
	g, err := n.Hold(within(n.t), name, ttl)
	n.must("hold "+name, err)
	if g == 0 {
		n.t.Fatal("a generation is 0")
	}
	return room.Lease{Name: name, Generation: g}
}

func (n *node) renews(l room.Lease, ttl time.Duration, want bool) {
	n.t.Helper()
	held, err := n.Renew(within(n.t), l, ttl)
	n.must("renew", err)
	if held != want {
		n.t.Errorf("renew %v: held %t, want %t", l, held, want)
	}
}

func (n *node) lists(want ...room.Lease) {
	n.t.Helper()
	got, err := n.List(within(n.t))
	n.must("list", err)
	byName := func(a, b room.Lease) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }
	slices.SortFunc(got, byName)
	slices.SortFunc(want, byName)
	if !slices.Equal(got, want) {
		n.t.Errorf("listed %v, want %v", got, want)
	}
}

// gone waits until a lease is no longer listed: the server's clock says when.
func (n *node) gone(l room.Lease) {
	n.t.Helper()
	n.await(fmt.Sprintf("%v ends", l), func(all []room.Lease) bool { return !slices.Contains(all, l) })
}

func (n *node) await(what string, enough func([]room.Lease) bool) {
	n.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // between two questions to another process
		all, err := n.List(within(n.t))
		if err == nil && enough(all) {
			return
		}
		if time.Now().After(until) {
			n.t.Fatalf("waited in vain until %s: %v, %v", what, all, err)
		}
	}
}

// holdSoon is hold after the server was away.
func (n *node) holdSoon(name string) room.Lease {
	n.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // between two attempts to reach another process
		g, err := n.Hold(within(n.t), name, long)
		if err == nil {
			return room.Lease{Name: name, Generation: g}
		}
		if time.Now().After(until) {
			n.t.Fatalf("hold: %v", err)
		}
	}
}

func testHold(t *testing.T, f Factory) {
	a, b := f.node(t, "main"), f.node(t, "main")
	a.lists()
	one, two := a.hold("a", long), b.hold("b", long)
	for _, n := range []*node{a, b} {
		n.lists(one, two)
		n.renews(one, long, true)
		n.renews(two, long, true)
	}
}

// A generation that was superseded is never renewed, and every later one is higher (PRES-10).
func testSuperseded(t *testing.T, f Factory) {
	a, b := f.node(t, "main"), f.node(t, "main")
	last := a.hold("a", long)
	for range 5 {
		next := b.hold("a", long)
		if next.Generation <= last.Generation {
			t.Fatalf("generation %d follows %d", next.Generation, last.Generation)
		}
		a.renews(last, long, false)
		a.must("release", a.Release(within(t), last)) // not its own any more
		b.lists(next)
		b.renews(next, long, true)
		last = next
	}
}

func testExpires(t *testing.T, f Factory) {
	a, b := f.node(t, "main"), f.node(t, "main")
	other := b.hold("b", long)
	first := a.hold("a", short)
	b.gone(first)
	a.renews(first, long, false)
	b.lists(other)
	if again := a.hold("a", long); again.Generation <= first.Generation {
		t.Errorf("generation %d follows %d, which expired", again.Generation, first.Generation)
	}
	a.renews(first, long, false)
}

// A lease that is renewed outlives the time that it was taken for, as another one of the same time shows. A machine that
// keeps this process from renewing it for that long has the test begin anew.
func testRenewed(t *testing.T, f Factory) {
	for try := 1; ; try++ {
		stays, idle := f.renewed(t)
		switch {
		case stays:
			return
		case idle < short || try == 10:
			t.Fatalf("a lease ended that was renewed every %v", idle)
		}
		t.Logf("nothing was renewed for %v", idle)
	}
}

// renewed says whether a lease that is renewed outlives others of its time, and the longest that it was not renewed.
func (f Factory) renewed(t *testing.T) (stays bool, idle time.Duration) {
	a := f.node(t, "main")
	last, kept := time.Now(), a.hold("kept", short)
	stays = true
	renew := func() {
		began := time.Now()
		held, err := a.Renew(within(t), kept, short)
		a.must("renew", err)
		stays, idle, last = stays && held, max(idle, time.Since(last)), began
	}
	for range 2 {
		left := a.hold("left", short)
		a.await("the lease that is not renewed ends", func(all []room.Lease) bool {
			renew()
			return !slices.Contains(all, left)
		})
	}
	all, err := a.List(within(t))
	a.must("list", err)
	return stays && slices.Equal(all, []room.Lease{kept}), max(idle, time.Since(last))
}

func testRelease(t *testing.T, f Factory) {
	a, b := f.node(t, "main"), f.node(t, "main")
	l := a.hold("a", long)
	a.must("release", a.Release(within(t), l))
	b.lists()
	a.renews(l, long, false)
	a.must("release again", a.Release(within(t), l))
	if again := b.hold("a", long); again.Generation <= l.Generation {
		t.Errorf("generation %d follows %d, which was released", again.Generation, l.Generation)
	}
}

func testClusters(t *testing.T, f Factory) {
	a, b := f.node(t, "main"), f.node(t, "main-2")
	one, two := a.hold("n", long), b.hold("n", long)
	a.lists(one)
	b.lists(two)
	a.renews(one, long, true)
}

func testNames(t *testing.T, f Factory) {
	a := f.node(t, "main")
	for _, bad := range []string{"", "a b", "a*", "a>", "a:b", "é", ".a", "-", string(make([]byte, 65))} {
		if _, err := a.Hold(within(t), bad, long); err == nil || room.AsError(err).Code != room.CodeBadRequest {
			t.Errorf("hold %q: %v", bad, err)
		}
	}
	longest := "n123456789-123456789_123456789.123456789-123456789-123456789-123"
	a.lists(a.hold(longest, long), a.hold("Node.1_x-2", long), a.hold("node.1_x-2", long))
}

// Of nodes that take one name at once each has a generation of its own, and the highest one holds.
func testRace(t *testing.T, f Factory) {
	const nodes, each = 4, 5
	var got [nodes][]room.Lease
	var all sync.WaitGroup
	handles := make([]*node, nodes)
	for i := range nodes {
		handles[i] = f.node(t, "main")
	}
	for i, n := range handles {
		all.Go(func() {
			for range each {
				g, err := n.Hold(within(t), "a", long)
				if err != nil {
					t.Errorf("hold: %v", err)
					return
				}
				got[i] = append(got[i], room.Lease{Name: "a", Generation: g})
			}
		})
	}
	all.Wait()
	seen := map[room.Generation]bool{}
	var highest room.Lease
	for _, some := range got {
		for _, l := range some {
			if seen[l.Generation] {
				t.Errorf("generation %d was given twice", l.Generation)
			}
			seen[l.Generation] = true
			if l.Generation > highest.Generation {
				highest = l
			}
		}
	}
	handles[0].lists(highest)
	for l := range seen {
		handles[0].renews(room.Lease{Name: "a", Generation: l}, long, l == highest.Generation)
	}
}

// loses is what a node finds whose server has lost what it kept: not an error, and nothing that comes back.
func loses(t *testing.T, a, b *node, l room.Lease) {
	t.Helper()
	next := b.holdSoon("b")
	b.await("the lease of the other is gone", func(all []room.Lease) bool { return !slices.Contains(all, l) })
	a.await("the other is there", func(all []room.Lease) bool { return slices.Contains(all, next) })
	a.renews(l, long, false)
	again := a.holdSoon("a")
	if again.Generation <= l.Generation {
		t.Errorf("generation %d follows %d, which the server lost", again.Generation, l.Generation)
	}
	a.renews(l, long, false)
	b.lists(again, next)
}

func testRestart(t *testing.T, f Factory) {
	a, b := f.node(t, "main"), f.node(t, "main")
	l := a.hold("a", long)
	b.lists(l)
	f.Stop(t)
	unreachable(t, a, l)
	f.Start(t)
	loses(t, a, b, l)
}

// unreachable is what is said while the server does not answer: that, and nothing of any lease.
func unreachable(t *testing.T, a *node, l room.Lease) {
	t.Helper()
	check := func(what string, err error) {
		t.Helper()
		if err == nil || !room.AsError(err).Retryable() {
			t.Errorf("%s without a server: %v", what, err)
		}
	}
	_, err := a.Renew(within(t), l, long)
	check("renew", err)
	_, err = a.Hold(within(t), "a", long)
	check("hold", err)
	_, err = a.List(within(t))
	check("list", err)
	check("release", a.Release(within(t), l))
}

func testFlush(t *testing.T, f Factory) {
	if f.Flush == nil {
		t.Skip(f.NoFlush)
	}
	a, b := f.node(t, "main"), f.node(t, "main")
	l := a.hold("a", long)
	b.lists(l)
	f.Flush(t)
	loses(t, a, b, l)
}

// A server that was paused knows the leases that have not ended meanwhile, by its own clock.
func testPause(t *testing.T, f Factory) {
	if f.Pause == nil {
		t.Skip(f.NoPause)
	}
	a, b := f.node(t, "main"), f.node(t, "main")
	kept := a.hold("kept", long)
	f.Pause(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := a.Renew(ctx, kept, long); err == nil || !room.AsError(err).Retryable() {
		t.Errorf("renew while the server is paused: %v", err)
	}
	f.Resume(t)
	b.await("the lease is listed", func(all []room.Lease) bool { return slices.Contains(all, kept) })
	a.await("the server answers", func(all []room.Lease) bool { return slices.Contains(all, kept) })
	a.renews(kept, long, true)
}

// Leases stay when a handle is closed.
func testClose(t *testing.T, f Factory) {
	b := f.node(t, "main")
	a := f.Open(t, "main")
	g, err := a.Hold(within(t), "a", long)
	b.must("hold", err)
	b.must("close", a.Close())
	b.must("close again", a.Close())
	if _, err := a.List(within(t)); err == nil || !room.AsError(err).Retryable() {
		t.Errorf("list after close: %v", err)
	}
	b.lists(room.Lease{Name: "a", Generation: g})
}
