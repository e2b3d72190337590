package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
)

// The only trace of an append is a beat that comes while the room is read by a snapshot from before it.
func TestBeatWhileTheRoomIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 20)
		a, b := w.join("a"), w.join("b")
		settle()
		time.Sleep(3 * time.Second)
		a.send(t, roomA)
		time.Sleep(time.Second)
		w.log.set(func(l *log) { l.slow = time.Second })
		reader := make(chan *listener)
		go func() { reader <- b.read(t, w.log, roomA) }()
		time.Sleep(10 * time.Millisecond) // the snapshot is taken
		w.faults.Set(bustest.Rates{Drop: 1})
		a.send(t, roomA)
		settle()
		w.faults.Heal()
		r := <-reader
		within(t, 4*time.Second, "what was appended while the room was read", func() bool { return r.stands(t, roomA) == 2 })
	})
}

// A node that stops before the store said what became of its last append has not told of it: the others look themselves.
func TestStoppedBeforeTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 21)
		a, b := w.join("a", func(_ *Config, h *hub.Config) { h.Store = silentStore{w.log} }), w.join("b")
		settle()
		r := b.read(t, w.log, roomA)
		time.Sleep(3 * time.Second)
		a.hub.Submit(hub.Submit{Send: room.Send{Room: roomA, Author: "ann", Tag: room.Tag{1}, Type: "message", Data: []byte(`{}`)}}, func(hub.Outcome) {})
		settle()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = a.hub.Stop(ctx) // it says that it was told to hurry
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		within(t, 2*time.Second, "what was committed behind its back", func() bool { return r.stands(t, roomA) == 1 })
	})
}

// silentStore commits an append a moment after who asked for it has given up.
type silentStore struct{ *log }

func (s silentStore) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	<-ctx.Done()
	time.AfterFunc(200*time.Millisecond, func() { _, _ = s.log.Append(context.Background(), batch) })
	return room.Appended{}, room.ErrOutcomeUnknown
}

// A node that others could not hear is killed after a commit that it told nobody of: they look again as long as it is
// quiet, each time after twice as long.
func TestKilledAfterItWasSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 22)
		store := &roughStore{log: w.log, random: rand.New(rand.NewPCG(1, 1))}
		a, b := w.join("a", on(store)), w.join("b")
		settle()
		r := b.read(t, w.log, roomA)
		time.Sleep(3 * time.Second)
		w.faults.Part("a", "b")
		time.Sleep(2 * time.Second)
		a.send(t, roomA)
		store.kill()
		defer a.end()
		within(t, 3*time.Second, "the event of the dead", func() bool { return r.stands(t, roomA) == 1 })
	})
}

// A node that is killed before its first regular beat is missed all the same.
func TestKilledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 23)
		b := w.join("b")
		settle()
		r := b.read(t, w.log, roomA)
		time.Sleep(3 * time.Second)
		store := &roughStore{log: w.log, random: rand.New(rand.NewPCG(1, 1))}
		a := w.join("a", on(store))
		settle()
		w.faults.Part("a", "b")
		a.send(t, roomA)
		store.kill()
		defer a.end()
		within(t, 2*time.Second, "the event of the dead", func() bool { return r.stands(t, roomA) == 1 })
	})
}

// An event that no message of the bus can carry is told of at once, and read.
func TestEventLargerThanTheBusTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 24)
		a, b := w.join("a"), w.join("b")
		settle()
		r := b.read(t, w.log, roomA)
		time.Sleep(3 * time.Second)
		large := []byte(`{"text":"` + strings.Repeat("x", room.MaxBusMessage) + `"}`)
		a.hub.Submit(hub.Submit{Send: room.Send{Room: roomA, Author: "ann", Tag: room.Tag{1}, Type: "message", Data: large}}, func(hub.Outcome) {})
		within(t, 50*time.Millisecond, "the large event", func() bool { return r.stands(t, roomA) == 1 })
	})
}

// What a newer node says in a way that is not understood makes this one look at the store; what nobody sealed does not.
func TestNewerMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 25)
		b := w.join("b")
		settle()
		r := b.read(t, w.log, roomA)
		time.Sleep(3 * time.Second)
		good, bad := newSeals(testKey, "main"), newSeals([]byte("a key that nobody else of these tests has"), "main")
		newKind, newVersion := []byte{version, 99, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{version + 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}
		grow := func() {
			if _, err := w.log.Append(t.Context(), []room.Send{{Room: roomA, Author: "ann", Tag: room.Tag{byte(r.stands(t, roomA) + 1)}, Type: "message", Data: []byte(`{}`)}}); err != nil {
				t.Fatal(err)
			}
		}
		for at, topic := range []room.Topic{room.RoomTopic(roomA), room.ClusterTopic} {
			for i, message := range [][]byte{newKind, newVersion} {
				grow()
				heads, refused := w.log.heads, b.Stats().Refused
				receiver{b.Node}.Received(topic, bad.seal(topic, slices.Clone(message)))
				time.Sleep(100 * time.Millisecond)
				settle()
				if w.log.heads != heads || b.Stats().Refused != refused+1 {
					t.Errorf("%s: %d queries for a message with a wrong seal, %d refused", topic, w.log.heads-heads, b.Stats().Refused-refused)
				}
				receiver{b.Node}.Received(topic, good.seal(topic, slices.Clone(message)))
				want := room.Seq(2*at + i + 1)
				within(t, time.Second, "what a newer node told of", func() bool { return r.stands(t, roomA) == want })
				if n := b.Stats().Refused - refused; n != 2 {
					t.Errorf("%s: %d messages counted", topic, n)
				}
			}
		}
	})
}

// A poll that waits answers in its time though the store does not answer, and one that does not wait says so.
func TestPollsWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 26)
		a := w.join("a")
		settle()
		a.read(t, w.log, roomA)
		time.Sleep(3 * time.Second)
		a.send(t, roomA)
		w.log.set(func(l *log) { l.slow = time.Minute })
		began := time.Now()
		p, err := a.hub.Poll(t.Context(), hub.Join{Room: roomA, Position: room.Position{Seq: 1}}, 5*time.Second)
		if took := time.Since(began); err != nil || p.Head.Seq != 1 || took > 6*time.Second {
			t.Errorf("a poll that waits 5 s answered after %v: head %d, %v", took, p.Head.Seq, err)
		}
		w.log.set(func(l *log) { l.slow = 0 })
	})
}

// Numbers in a message that its bytes cannot hold cost no memory.
func TestMessagesThatClaimMuch(t *testing.T) {
	hint := binary.AppendUvarint(appendMark(appendSeq(appendText(nil, "e1"), 1), 1), 1<<20)
	hint = append(hint, make([]byte, 1<<20)...)
	beat := binary.AppendUvarint(appendText(binary.AppendUvarint(nil, 1), "a"), 1<<20)
	beat = append(beat, bytes.Repeat([]byte{0xff}, 1<<20)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, ok := readHint(roomA, hint); ok {
		t.Error("a hint of a million events in a MiB")
	}
	if _, ok := readBeat(beat); ok {
		t.Error("a beat of a million heads in a MiB")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d MiB for messages of one", n>>20)
	}
}

// What was recorded of a node that is gone, and comes again, neither makes it live nor checks all rooms each time.
func TestReplayedBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 27)
		b := w.join("b")
		time.Sleep(3 * time.Second)
		s := newSeals(testKey, "main")
		say := func(k kind, number uint64) {
			receiver{b.Node}.Received(room.ClusterTopic, s.seal(room.ClusterTopic, appendBeat(begin(k, nodeID{9}), beat{number: number, name: "a"})))
		}
		for n := range uint64(10) {
			say(kindBeat, n+1)
			time.Sleep(250 * time.Millisecond)
		}
		for range 20 {
			say(kindBeat, 7)
			time.Sleep(250 * time.Millisecond)
		}
		settle()
		if n := b.Stats().Peers; n != 0 {
			t.Errorf("%d nodes live by what was recorded of them", n)
		}
		say(kindBye, 11)
		time.Sleep(3 * time.Second)
		checks := b.Stats().Checks
		for range 20 {
			say(kindBeat, 7)
			say(kindBye, 11)
			time.Sleep(250 * time.Millisecond)
		}
		settle()
		if n := b.Stats().Checks - checks; n > 2 {
			t.Errorf("%d checks of all rooms", n)
		}
	})
}
