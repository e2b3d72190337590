package cluster

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// What a node says of a part of a room is heard by the nodes that follow the room, from whom it came, and by nobody else; of what
// is said to all it is heard by all but the speaker, and what is said to one by that one. What nobody here hears, or has nothing in it, is harmless.
func TestSaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var mu sync.Mutex
		var heard []string
		var from []Peer
		hears := func(name string) func(*Config, *hub.Config) {
			hear := func(p Peer, id room.ID, body []byte) {
				mu.Lock()
				defer mu.Unlock()
				heard, from = append(heard, name+" "+string(id)+" "+string(body)), append(from, p)
			}
			return func(c *Config, _ *hub.Config) { c.Hears = map[Part]Hearer{PartPresence: hear, PartMe: hear} }
		}
		a, b, c := w.join("a", hears("a")), w.join("b", hears("b")), w.join("c", hears("c"))
		settle()
		a.read(t, w.log, roomA)
		b.read(t, w.log, roomA)
		settle()
		expect := func(speaker Peer, want ...string) {
			t.Helper()
			settle()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(heard)
			if !slices.Equal(heard, want) || slices.ContainsFunc(from, func(p Peer) bool { return p != speaker }) {
				t.Errorf("heard %q from %x, not %q from %x", heard, from, want, speaker)
			}
			heard, from = nil, nil
		}
		a.Say(roomA, PartPresence, []byte("hello"))
		expect(a.Self(), "b chat:a hello")
		c.Say(roomA, PartPresence, nil)
		expect(c.Self(), "a chat:a ", "b chat:a ")
		b.SayAll(PartMe, []byte("x"))
		expect(b.Self(), "a  x", "c  x")
		b.SayTo(c.Self(), PartMe, []byte("you"))
		expect(b.Self(), "c  you")
		b.SayTo(Peer{1}, PartMe, []byte("nobody"))
		b.SayTo(b.Self(), PartMe, []byte("myself"))
		expect(b.Self())
		a.Say(roomA, PartStreams, []byte("of a newer node"))
		a.publish(room.RoomTopic(roomA), begin(kindSaid, a.id))
		expect(a.Self())
		if n := b.Stats().Refused; n != 1 {
			t.Errorf("%d messages refused, not the one with nothing in it", n)
		}
	})
}
