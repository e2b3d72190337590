package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/erasure"
	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/streams"
)

// PART-3, PART-10: who is not the author is refused, and a node that was asked so goes on showing what the author says elsewhere.
func TestARefusedPartStopsNoNode(t *testing.T) {
	nodes := startStreams(t, 2, nil)
	a, b := nodes[0], nodes[1]
	reader := b.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	reader.expect("joined")
	path := a.begin("u1", "chat:a", 1, `{}`)
	if p := b.part("u3", path, 0, "mine"); p.code() != string(room.CodeForbidden) {
		t.Errorf("PART-3: %d %s", p.status, p.text)
	}
	if p := b.as("u3", "DELETE", path, ""); p.code() != string(room.CodeForbidden) {
		t.Errorf("PART-3: %d %s", p.status, p.text)
	}
	a.part("u1", path, 0, "one")
	reader.readText("", "one")
}

// MEM-6, PART-9: who joined after a message began is given nothing of it, as it streams either.
func TestPartsOfBeforeSomebodyJoined(t *testing.T) {
	var desk *streams.Desk
	f := club(t, options{
		hub: func(c *hub.Config) {
			desk = streams.New(streams.Config{Store: c.Store.(room.Streams)})
			c.Beside[hub.SideParts] = desk
		},
		server: func(c *Config) { c.Streams = desk },
	})
	desk.Start(deskLog{f.hub})
	t.Cleanup(func() { desk.Stop(context.Background()) })
	n := &streamNode{fixture: f, desk: desk}
	const id = "past:a"
	f.enroll(id, "ann", "owner")
	before := n.begin("ann", id, 1, `{}`)
	n.part("ann", before, 0, "canary")
	f.enroll(id, "ben", "member")
	p := f.login("ben")
	p.sendf(`{"op":"join","id":1,"room":%q,"with":["parts"]}`, id)
	p.expect("joined")
	n.part("ann", before, 6, " canary")
	n.part("ann", n.begin("ann", id, 2, `{}`), 0, "since")
	for m := p.object(); m["text"] != "since"; m = p.object() {
		if strings.Contains(fmt.Sprint(m), "canary") {
			t.Fatalf("MEM-6: who joined later is given %v", m)
		}
	}
}

// PART-10: who reads at the node where a message began is shown the parts that another takes.
func TestReadersWhereAMessageBegan(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf=", deaf), func(t *testing.T) {
			nodes := startStreams(t, 2, nil)
			a, b := nodes[0], nodes[1]
			a.deaf.Store(deaf)
			reader := a.login("u2")
			reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
			reader.expect("joined")
			path := a.begin("u1", "chat:a", 1, `{}`)
			b.part("u1", path, 0, "one ")
			reader.readText("", "one ")
			b.part("u1", path, 4, "two")
			reader.readText("one ", "one two")
		})
	}
}

// ERASE-3, PART-8: what streams of a user goes with their data from what is in memory, and what others say goes on.
func TestErasureEndsStreams(t *testing.T) {
	nodes := startStreams(t, 2, func(c *streams.Config) { c.CheckEvery = time.Hour })
	a, b := nodes[0], nodes[1]
	x := erasure.New(erasure.Config{Store: a.store, Told: func(ctx context.Context, id room.ID) error {
		for _, n := range nodes {
			n.hub.CheckRooms(ctx, []room.ID{id})
		}
		return nil
	}})
	x.Start()
	t.Cleanup(x.Stop)
	var readers []*peer
	for _, n := range nodes {
		p := n.login("u3")
		p.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
		p.expect("joined")
		readers = append(readers, p)
	}
	gone, stays := a.begin("u2", "chat:a", 1, `{}`), a.begin("u1", "chat:a", 2, `{}`)
	a.part("u2", gone, 0, "canary")
	a.part("u1", stays, 0, "fine")
	for _, p := range readers {
		for left := 2; left > 0; {
			if m := p.object(); m["op"] == "part" {
				left--
			}
		}
	}
	keptAt(t, a, stays, 4)
	if _, err := x.Ask(t.Context(), "u2", "admin", now()); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		until(readers[i], "the erasure", func(m map[string]any) bool { return strings.Contains(fmt.Sprint(m["events"]), "type:erase") })
		late := n.login("u4")
		late.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
		for m := late.object(); m["text"] != "fine"; m = late.object() {
			if strings.Contains(fmt.Sprint(m), "canary") {
				t.Fatalf("ERASE-3: node %d gives who comes later %v", i, m)
			}
		}
	}
	if p := b.part("u2", gone, 6, "x"); p.code() != string(room.CodeUnknownTarget) {
		t.Errorf("PART-8: %d %s", p.status, p.text)
	}
	b.part("u1", stays, 4, ", and goes on")
	for i, p := range readers {
		until(p, "PART-9: what others say goes on", func(m map[string]any) bool {
			if strings.Contains(fmt.Sprint(m), "canary") {
				t.Fatalf("ERASE-3: node %d gives %v", i, m)
			}
			return strings.HasSuffix(fmt.Sprint(m["text"]), "and goes on")
		})
	}
}
