package presence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// What the nodes see is the same, also where it was lost on the way (PRES-9).
func TestLostMessagesAreMended(t *testing.T) {
	inWorld(t, 3, nil, func(w *world, nodes []*node) {
		a, b, c := nodes[0], nodes[1], nodes[2]
		one := a.open("u1")
		b.open("u2")
		w.settle()
		w.lose(1)
		c.open("u3")
		one.close()
		sleep(10 * time.Second) // the last message was lost, and nothing follows it
		w.lose(0)
		sleep(20 * time.Second)
		for _, n := range nodes {
			n.sees("u2", "u3")
		}
	})
}

func (w *world) lose(rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop = rate
}

// A killed node's users are gone after its lease and the grace; who is back by then was never away (PRES-10).
func TestKilledNode(t *testing.T) {
	inWorld(t, 3, nil, func(w *world, nodes []*node) {
		a, b, c := nodes[0], nodes[1], nodes[2]
		a.open("u1")
		a.open("u2")
		b.open("u3")
		w.settle()
		a.end()
		sleep(5 * time.Second)
		b.open("u1")
		sleep(25 * time.Second)
		for _, n := range []*node{b, c} {
			n.sees("u1", "u3")
			n.wentOnly("u2")
		}
	})
}

// wentOnly fails unless these users alone were seen to go, once each, and nobody came twice.
func (n *node) wentOnly(users ...string) {
	n.w.t.Helper()
	came, went := map[string]int{}, map[string]int{}
	for _, e := range n.events {
		if e.came {
			came[e.user]++
		} else {
			went[e.user]++
		}
	}
	ok := len(went) == len(users)
	for _, user := range users {
		ok = ok && went[user] == 1
	}
	for _, times := range came {
		ok = ok && times == 1
	}
	if !ok {
		n.w.t.Errorf("%s saw %s; %v were to go", n.name, n.log(), users)
	}
}

// What a node says after its lease has ended, or was taken by another, resurrects nobody (PRES-10).
func TestOldGeneration(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		one := a.open("u1")
		w.settle()
		b.sees("u1")
		a.pause()
		a.open("ghost") // it is said, and carried later
		sleep(30 * time.Second)
		b.sees()
		one.close()
		a.Went(hall, a.places[hall].own[ghostOf(a)].handle, ghostOf(a))
		sleep(30 * time.Second) // they are gone there as well, when it goes on
		w.held = w.held[:1]     // the rest is lost
		a.resume()
		a.Woken()
		for range 100 {
			sleep(100 * time.Millisecond)
			b.sees()
		}
		b.logs("+u1 -u1")
		a.open("u2")
		w.settle()
		b.sees("u2")
	})
}

// ghostOf is the connection of the user ghost.
func ghostOf(n *node) string {
	for connection, e := range n.places[hall].own {
		if e.user == "ghost" {
			return connection
		}
	}
	return ""
}

// A node that starts again under its name takes the place of the one before (PRES-10).
func TestStartsAgain(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		a.open("u1")
		a.open("u2")
		w.settle()
		a.end()
		sleep(time.Second)
		again := w.start("a", nil, true)
		sleep(time.Second)
		again.Needed(hall)
		again.open("u1")
		sleep(20 * time.Second)
		b.sees("u1")
		b.wentOnly("u2")
		again.sees("u1")
	})
}

// Leases that are lost, stopped or flushed make nobody leave: what is known is stale, then true again (PRES-11).
func TestLeasesAway(t *testing.T) {
	for name, away := range map[string]func(w *world){
		"flushed": func(w *world) { w.medium.Flush() },
		"stopped": func(w *world) { w.medium.Stop(); sleep(time.Minute); w.medium.Start() },
		"stopped and flushed": func(w *world) {
			w.medium.Stop()
			sleep(time.Minute)
			w.medium.Flush()
			w.medium.Start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, nil, func(w *world, nodes []*node) {
				for i := range 30 {
					nodes[i%3].open(fmt.Sprintf("u%02d", i))
				}
				w.settle()
				stale := false
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 700 {
						time.Sleep(100 * time.Millisecond)
						stale = stale || nodes[0].frame().Stale
					}
				}()
				away(w)
				<-done
				sleep(time.Minute)
				for _, n := range nodes {
					if len(n.users()) != 30 || n.frame().Stale || len(n.events) != 30 {
						t.Errorf("%s: %d users, %+v, saw %s", n.name, len(n.users()), n.frame(), n.log())
					}
				}
				if name != "flushed" && !stale {
					t.Error("nothing was marked as stale")
				}
				nodes[0].end() // and who goes then is missed
				sleep(30 * time.Second)
				if n := len(nodes[1].users()); n != 20 {
					t.Errorf("%d users are left", n)
				}
			})
		})
	}
}

// While the bus carries nothing, who moved to another node is not taken to be gone (PRES-11).
func TestBusAway(t *testing.T) {
	inWorld(t, 3, nil, func(w *world, nodes []*node) {
		a, b, c := nodes[0], nodes[1], nodes[2]
		a.open("u1")
		b.open("u2")
		w.settle()
		w.carry(false)
		a.end()
		b.open("u1")
		c.open("u3")
		sleep(time.Minute)
		c.sees("u1", "u2", "u3")
		b.sees("u1", "u2")
		if !c.frame().Stale {
			t.Error("it is not marked as stale")
		}
		w.carry(true)
		sleep(time.Minute)
		for _, n := range []*node{b, c} {
			n.sees("u1", "u2", "u3")
			if n.frame().Stale {
				t.Errorf("%s is stale still", n.name)
			}
			for _, e := range n.events {
				if !e.came {
					t.Errorf("%s saw %s", n.name, n.log())
				}
			}
		}
	})
}

// carry begins or ends what the bus carries; the nodes find out.
func (w *world) carry(does bool) {
	w.mu.Lock()
	w.cut = !does
	w.mu.Unlock()
	for _, n := range w.nodes {
		n.Degraded(!does)
	}
}

// A deploy makes no flicker: a node that drains says how long its entries stay (PRES-12).
func TestDrain(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		var open []*tab
		for i := range 20 {
			open = append(open, a.open(fmt.Sprintf("u%02d", i)))
		}
		w.settle()
		a.Drain(20 * time.Second)
		for _, tab := range open {
			tab.close()
		}
		sleep(time.Second)
		if err := a.Stop(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		a.end()
		for _, tab := range open[:19] {
			sleep(time.Second)
			b.open(tab.user)
		}
		if got := b.log(); strings.Count(got, "+") != 20 || strings.Contains(got, "-") {
			t.Errorf("saw %s", got)
		}
		sleep(20 * time.Second)
		b.sees(func() (all []string) {
			for _, tab := range open[:19] {
				all = append(all, tab.user)
			}
			return all
		}()...)
	})
}

// A node that is cut off from the leases alone takes nobody to be gone, and is missed by the others.
func TestCutOff(t *testing.T) {
	inWorld(t, 3, nil, func(w *world, nodes []*node) {
		a, b, c := nodes[0], nodes[1], nodes[2]
		a.open("u1")
		b.open("u2")
		w.settle()
		a.leases.mu.Lock()
		a.leases.stopped = make(chan struct{})
		a.leases.mu.Unlock()
		sleep(time.Minute)
		a.sees("u1", "u2")
		c.sees("u2")
		a.leases.mu.Lock()
		close(a.leases.stopped)
		a.leases.stopped = nil
		a.leases.mu.Unlock()
		sleep(30 * time.Second)
		for _, n := range nodes {
			n.sees("u1", "u2")
		}
	})
}

// What is no message of this version, or says what cannot be, does no harm.
func TestHearsNonsense(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a := nodes[0]
		a.open("u1")
		for _, body := range []string{``, `{}`, `null`, `[]`, `{"n":"x","v":9}`, `{"n":"x","v":9,"i":1,"g":["c1"],"f":true}`, `{"n":"","v":1,"a":true}`,
			`{"n":"x","v":9,"i":18446744073709551615,"p":1,"s":[{"c":"","u":"","s":-9223372036854775808}]}`} {
			a.Hear(hall, []byte(body))
			a.Hear(room.ID("chat:none"), []byte(body))
		}
		w.settle()
		a.sees("u1")
	})
}

// What is passed on is counted, at the node that says it and at those that hear of it.
func TestPresenceIsCounted(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		was, heard := a.Stats(), b.Stats()
		a.open("u1")
		w.settle()
		if s := a.Stats(); s.Rooms != 1 || s.Entries != 1 || s.Said <= was.Said || s.Shown <= was.Shown || s.Stale {
			t.Errorf("%+v after %+v", s, was)
		}
		if s := b.Stats(); s.Rooms != 1 || s.Entries != 0 || s.Heard <= heard.Heard || s.Shown <= heard.Shown || s.Stale {
			t.Errorf("%+v after %+v", s, heard)
		}
	})
}
