package postgres

import (
	"fmt"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/search"
	"roomlog/server/store/postgres/pgtest"
)

// FIND-6: one node indexes at a time; when it is gone without a word, another finds by itself what nobody told it of.
func TestIndexerIsReplaced(t *testing.T) {
	dsn := pgtest.DB(t)
	var stores [2]*Store
	var nodes [2]*search.Indexer
	for i := range nodes {
		s := open(t, dsn)
		t.Cleanup(func() { must(t, s.Close()) })
		stores[i] = s
		nodes[i] = search.New(search.Config{
			Store: s, Kinds: room.NewKinds(nil), Duties: s, Name: fmt.Sprint("node", i), Gather: time.Millisecond, Lease: 900 * time.Millisecond,
		})
		t.Cleanup(nodes[i].Stop)
	}
	said := 0
	say := func(tell *search.Indexer) {
		t.Helper()
		said++
		send := room.Send{Room: "chat:a", Author: "u1", Tag: room.Tag{15: byte(said)}, Type: "message", Data: fmt.Appendf(nil, `{"text":"word%d"}`, said)}
		_, err := stores[1].Append(t.Context(), []room.Send{send})
		must(t, err)
		if tell != nil {
			tell.Grew("chat:a")
		}
	}
	found := func() bool {
		hits, err := stores[0].Search(t.Context(), room.SearchQuery{Rooms: []room.ID{"chat:a"}, Phrases: [][]string{{fmt.Sprint("word", said)}}, Limit: 1})
		must(t, err)
		return len(hits) == 1
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("FIND-6: %s: %+v, %+v", what, nodes[0].Stats(), nodes[1].Stats())
			}
		}
	}

	// A node that has died: it holds the duty, and nobody will give it up.
	held, err := stores[0].TakeDuty(t.Context(), "search", "dead", time.Second)
	must(t, err)
	if !held {
		t.Fatal("nobody has the duty, and it is not given")
	}
	say(nil)
	nodes[0].Start()
	until("what nobody was told of is found once the dead node's time is over", found)

	nodes[1].Start()
	say(nodes[0])
	until("what the node that has the duty is told of is found", found)
	// One that this machine keeps from renewing in time loses the duty: the other may have it then, but not both.
	if nodes[0].Stats().Holding && nodes[1].Stats().Holding {
		t.Error("FIND-6: both index")
	}
	nodes[0].Stop() // gives the duty up
	say(nil)
	until("the other has taken over", func() bool { return nodes[1].Stats().Holding && found() })
}
