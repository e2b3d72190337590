package cluster

import (
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// aHint is the growth of a room by n events of 100 bytes.
func aHint(n int) (room.Growth, []room.Event) {
	g := room.Growth{Before: 41, BeforeMark: 7, Head: room.Head{Room: "chat:general", Epoch: "k3v9", Seq: 41 + room.Seq(n), Mark: 8}}
	events := make([]room.Event, n)
	for i := range events {
		events[i] = room.Event{
			Seq: 42 + room.Seq(i), Mark: 8, Type: "message", Author: "alice", Tag: room.Tag{1, byte(i)}, At: time.UnixMicro(1_700_000_000_000_000).UTC(),
			Data: []byte(`{"text":"` + strings.Repeat("x", 89) + `"}`),
		}
	}
	return g, events
}

// BenchmarkTell is what a node does to tell an append of one event, but for the bus.
func BenchmarkTell(b *testing.B) {
	s := newSeals([]byte("a key that all nodes have, and no other"), "main")
	g, events := aHint(1)
	topic := room.RoomTopic(g.Head.Room)
	b.ReportAllocs()
	for b.Loop() {
		s.seal(topic, appendHint(begin(kindHint, nodeID{1}), g, events))
	}
}

// BenchmarkHear is what a node does to understand what BenchmarkTell tells, but for the bus and the hub.
func BenchmarkHear(b *testing.B) {
	s := newSeals([]byte("a key that all nodes have, and no other"), "main")
	g, events := aHint(1)
	topic := room.RoomTopic(g.Head.Room)
	message := s.seal(topic, appendHint(begin(kindHint, nodeID{1}), g, events))
	b.ReportAllocs()
	for b.Loop() {
		_, _, body, ok := s.open(topic, message)
		if _, got, whole := readHint(g.Head.Room, body); !ok || !whole || len(got) != 1 {
			b.Fatal("not understood")
		}
	}
}
