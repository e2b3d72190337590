package presence

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// seedOf is the seed of a random test: printed, or given by ROOMLOG_SEED.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("ROOMLOG_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = given
	}
	t.Logf("ROOMLOG_SEED=%d", seed)
	return seed
}

// span is a time in which a user had a connection, as the test knows it. Where the node was killed under it, lost says so: others
// may learn of the end only by the lease.
type span struct {
	from, to time.Time // zero to: it goes on
	lost     bool
}

// truth is the timeline of all users.
type truth struct {
	w     *world
	rng   *rand.Rand
	open  map[*tab]*span
	spans map[string][]*span
	lossy []span // when the bus lost messages without a word
}

// lossless ends that.
func (u *truth) lossless() {
	u.w.lose(0)
	for _, n := range u.w.nodes {
		u.w.slow(n, 0)
	}
	for i := range u.lossy {
		if s := &u.lossy[i]; s.to.IsZero() {
			s.to = time.Now()
		}
	}
}

// excused reports whether messages were lost shortly before a time, so that a node may not have heard in time who came.
func (u *truth) excused(at time.Time) bool {
	return slices.ContainsFunc(u.lossy, func(s span) bool { return !at.Before(s.from) && at.Sub(s.to) < 20*time.Second })
}

func (u *truth) opens(n *node, user string) {
	s := &span{from: time.Now()}
	u.open[n.open(user)] = s
	u.spans[user] = append(u.spans[user], s)
}

func (u *truth) closes(tab *tab, lost bool) {
	s := u.open[tab]
	delete(u.open, tab)
	s.to, s.lost = time.Now(), lost
	if !lost {
		tab.close()
	} else if s.to.Sub(s.from) < toldWithin { // its node may have had no time to tell of it
		u.spans[tab.user] = slices.DeleteFunc(u.spans[tab.user], func(one *span) bool { return one == s })
	}
}

// away reports for how long a user was without a connection at a time; 0: they have one, or never had.
func (u *truth) away(user string, at time.Time) time.Duration {
	last := time.Time{}
	for _, s := range u.spans[user] {
		if s.from.After(at) {
			continue
		}
		if s.to.IsZero() || s.to.After(at) {
			return 0
		}
		if s.to.After(last) {
			last = s.to
		}
	}
	if last.IsZero() {
		return 0
	}
	return at.Sub(last)
}

// toldWithin is how long it may take until other nodes know who came: what changes is told every quarter of a second.
const toldWithin = 500 * time.Millisecond

// tellsWithin is how long it may take until a reader sees that somebody went, who may be back by then.
const tellsWithin = 2 * time.Second

// longest is for how long a user was without a connection at a time, or when they came back in the moments before.
func (u *truth) longest(user string, at time.Time) time.Duration {
	longest := u.away(user, at)
	for _, s := range u.spans[user] {
		if !s.from.After(at) && at.Sub(s.from) < tellsWithin {
			longest = max(longest, u.away(user, s.from.Add(-time.Nanosecond)))
		}
	}
	return longest
}

// Whatever happens to nodes, the bus and the leases: no user who has a connection, or has been without one for less than the grace, is
// seen to leave; and once nothing happens any more all nodes show the truth (invariant I14; PRES-2, PRES-9 to PRES-11).
func TestRandomFaults(t *testing.T) {
	seed := seedOf(t)
	for round := range uint64(20) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			inWorld(t, 3, nil, func(w *world, _ []*node) {
				rng := rand.New(rand.NewPCG(seed, round))
				w.mu.Lock()
				w.random = rand.New(rand.NewPCG(seed, round+1000))
				w.mu.Unlock()
				u := &truth{w: w, rng: rng, open: map[*tab]*span{}, spans: map[string][]*span{}}
				for range 300 {
					u.step()
					sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
				}
				u.quiesce()
			})
		})
	}
}

func (u *truth) live() []*node {
	var all []*node
	for _, n := range u.w.nodes {
		if !n.dead {
			all = append(all, n)
		}
	}
	return all
}

func (u *truth) tabs() []*tab {
	all := slices.Collect(maps.Keys(u.open))
	slices.SortFunc(all, func(a, b *tab) int { return len(a.id)*1_000_000 - len(b.id)*1_000_000 + compare(a.id, b.id) })
	return all
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (u *truth) step() {
	w, rng := u.w, u.rng
	nodes, tabs := u.live(), u.tabs()
	pick := nodes[rng.IntN(len(nodes))]
	switch n := rng.IntN(100); {
	case n < 45:
		u.opens(pick, fmt.Sprintf("u%d", rng.IntN(12)))
	case n < 80 && len(tabs) > 0:
		u.closes(tabs[rng.IntN(len(tabs))], false)
	case n < 84 && len(tabs) > 0: // to another node, within the grace
		tab := tabs[rng.IntN(len(tabs))]
		u.closes(tab, false)
		sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
		u.opens(pick, tab.user)
	case n < 88:
		w.lose(rng.Float64() * 0.3)
		u.lossy = append(u.lossy, span{from: time.Now()})
	case n < 90: // what comes as late is as good as lost
		w.slow(pick, time.Duration(rng.IntN(4000))*time.Millisecond)
		u.lossy = append(u.lossy, span{from: time.Now()})
	case n < 92:
		u.lossless()
	case n < 94:
		w.medium.Flush()
	case n < 95:
		w.medium.Stop()
		sleep(time.Duration(rng.IntN(30)) * time.Second)
		w.medium.Start()
	case n < 96:
		w.carry(false)
		sleep(time.Duration(rng.IntN(30)) * time.Second)
		w.carry(true)
	case n < 98 && len(nodes) > 2: // killed: its users come to another one, or not
		u.kill(pick, nodes)
	case n < 99:
		if fresh := w.start(fmt.Sprintf("n%d", len(w.nodes)), nil, true); len(nodes) < 4 {
			sleep(time.Second)
			fresh.Needed(hall)
		} else {
			fresh.end()
		}
	}
}

func (u *truth) kill(dead *node, nodes []*node) {
	dead.end()
	for _, tab := range u.tabs() {
		if tab.n != dead {
			continue
		}
		u.closes(tab, true)
		if to := nodes[u.rng.IntN(len(nodes))]; to != dead {
			u.opens(to, tab.user)
		}
	}
}

// quiesce ends all faults, and compares what every node saw with the truth.
func (u *truth) quiesce() {
	w := u.w
	u.lossless()
	sleep(90 * time.Second)
	present := map[string]bool{}
	for tab := range u.open {
		present[tab.user] = true
	}
	want := slices.Sorted(maps.Keys(present))
	nodes := u.live()
	for _, n := range nodes {
		n.sees(want...)
		if got, first := n.frame(), nodes[0].frame(); got != first || got.Stale {
			w.t.Errorf("%s shows %+v, %s %+v", n.name, got, nodes[0].name, first)
		}
		for _, user := range want {
			if got, first := fmt.Sprint(n.member(user)), fmt.Sprint(nodes[0].member(user)); got != first {
				w.t.Errorf("%s shows %s, %s %s", n.name, got, nodes[0].name, first)
			}
		}
	}
	for _, n := range w.nodes {
		for _, e := range n.events {
			if away := u.longest(e.user, e.at); !e.came && away < 5*time.Second-time.Millisecond && !u.excused(e.at) {
				w.t.Errorf("%s saw %s leave at %s, who was away for %v", n.name, e.user, e.at.Format("15:04:05.000"), away)
			}
		}
	}
}
