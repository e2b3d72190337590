package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

// reader is one that asks a store for pokes, again and again.
type reader struct {
	t     *testing.T
	store room.Pokes
	since string
}

// readers gives one for each of two handles, who have heard nothing yet; nil: the store has no pokes, since one
// node alone may use it.
func (f Factory) readers(t *testing.T) []*reader {
	t.Helper()
	var all []*reader
	for _, s := range f.pair(t) {
		p, ok := s.(room.Pokes)
		if !ok && f.Single == "" {
			t.Fatalf("%T can be shared, and has no pokes: nodes without a bus would hear nothing of each other", s)
		}
		if !ok {
			t.Skipf("%T has no pokes, since nobody else hears them: %s", s, f.Single)
		}
		all = append(all, &reader{t: t, store: p})
	}
	return all
}

// hears fails unless the reader is told these topics and no others.
func (r *reader) hears(when string, want ...room.Topic) {
	r.t.Helper()
	topics, now, err := r.store.Poked(within(r.t), r.since)
	if err != nil {
		r.t.Fatalf("%s: %v", when, err)
	}
	slices.Sort(topics)
	slices.Sort(want)
	if !slices.Equal(topics, want) {
		r.t.Fatalf("%s: poked are %q, want %q", when, topics, want)
	}
	r.since = now
}

// misses fails unless the reader is told that anything may have changed.
func (r *reader) misses(when string) {
	r.t.Helper()
	topics, now, err := r.store.Poked(within(r.t), r.since)
	if !errors.Is(err, room.ErrPokesMissed) || now == "" || len(topics) > 0 {
		r.t.Fatalf("%s: got %q from %q on and %v, want ErrPokesMissed", when, topics, now, err)
	}
	r.since = now
}

func (r *reader) poke(topics ...room.Topic) {
	r.t.Helper()
	must(r.t, "poke", r.store.Poke(within(r.t), topics))
}

var topicA, topicB, topicC = room.RoomTopic("chat:a"), room.RoomTopic("chat:b"), room.RoomTopic("chat:c")

// testPokes: each reader is told each poke once, whoever made it and whoever else was told.
func testPokes(t *testing.T, f Factory) {
	rs := f.readers(t)
	a, b := rs[0], rs[1]
	a.poke(topicA)
	a.hears("at first")
	b.hears("at first")
	a.hears("when nothing was poked")
	a.poke()
	a.poke(topicA, topicB, topicA)
	b.poke(topicB, room.ClusterTopic)
	late := &reader{t: t, store: b.store}
	late.hears("of what was poked before it came")
	a.hears("by both", topicA, topicB, room.ClusterTopic)
	a.hears("when it was told already")
	b.poke(topicC)
	b.hears("by both", topicA, topicB, topicC, room.ClusterTopic)
	late.hears("since it came", topicC)
	b.hears("when it was told already")
	a.hears("by another", topicC)
}

// testPokesLate: the order in which transactions begin says nothing of the order in which they become visible.
func testPokesLate(t *testing.T, f Factory) {
	rs := f.readers(t)
	a, b := rs[0], rs[1]
	a.hears("at first")
	b.hears("at first")
	first := f.PokeIn(t, topicA)
	second := f.PokeIn(t, topicA, topicB)
	b.poke(topicC)
	a.hears("of one that began later", topicC)
	a.hears("while two are open")
	second()
	a.hears("of one that began earlier and ended later", topicA, topicB)
	first()
	a.hears("of the first that began and last that ended", topicA)
	b.hears("of all at once", topicA, topicB, topicC)
	a.hears("when it was told already")
	b.hears("when it was told already")
}

// testPokesForgotten: what everybody has had the time for is removed; who did not have it is told so, and
// nobody else.
func testPokesForgotten(t *testing.T, f Factory) {
	rs := f.readers(t)
	a, b := rs[0], rs[1]
	a.hears("at first")
	b.hears("at first")
	for range 5 {
		a.poke(topicA)
		a.hears("while pokes are kept", topicA)
	}
	b.hears("of all that is kept", topicA)

	f.KeepPokes(t, a.store.(room.Store), 0)
	open := f.PokeIn(t, topicC)
	for range 5 { // each of which removes what was visible to the one before
		a.poke(topicA)
		a.hears("while others are removed", topicA)
	}
	open()
	a.hears("of a transaction that outlasted the removal of later ones", topicC)
	b.misses("after a pause for which pokes are not kept")
	b.hears("after it has looked at everything")
	b.poke(topicB)
	b.hears("again", topicB)
	a.hears("again", topicB)

	f.KeepPokes(t, a.store.(room.Store), time.Hour)
	b.since = "elsewhere|1:2:3"
	b.misses("from another place")
	b.since = "no place at all"
	b.misses("from a place that is none")
	b.since = a.since[:len(a.since)-1] + "x"
	b.misses("from no snapshot")
	b.hears("after that")
}

// testPokesOfChanges: whoever changes access, takes events away or deletes a room tells the others by that; a change
// that changed nothing may be told as well.
func testPokesOfChanges(t *testing.T, f Factory) {
	rs := f.readers(t)
	a, b := rs[0], rs[1]
	fill(t, a.store.(room.Store), "chat:a", 3)
	b.hears("at first")
	access := accessOf(t, a.store.(room.Store))
	must(t, "ban", access.PutBan(within(t), room.Ban{Room: "chat:a", User: "u2", By: "u1", At: noon}))
	b.hears("of a ban", room.ClusterTopic)
	must(t, "block", access.PutBan(within(t), room.Ban{User: "u2", By: "u1", At: noon}))
	b.hears("of a block", room.ClusterTopic)
	must(t, "lift", access.DropBan(within(t), "chat:a", "u2"))
	b.hears("of a ban that is lifted", room.ClusterTopic)
	must(t, "revoke", access.PutRevocation(within(t), room.Revocation{User: "u2", Before: noon, Until: noon.Add(time.Hour), By: "u1", At: noon}))
	b.hears("of a revocation", room.ClusterTopic)
	keep := room.Retention{Events: 1}
	if _, err := a.store.(room.Pruner).Prune(within(t), "chat:a", keep, time.Hour, 10); err != nil {
		t.Fatal(err)
	}
	b.hears("of events that were pruned", topicA)
	if _, _, err := a.store.(room.Rooms).Delete(within(t), "chat:a"); err != nil {
		t.Fatal(err)
	}
	b.hears("of a room that was deleted", topicA)
}
