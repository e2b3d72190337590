package receipts

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// compared is a store that does something when versions are asked for.
type compared struct {
	*memory
	asked atomic.Int64
	then  func(n int64)
}

func (c *compared) ReceiptVersions(ctx context.Context, ids []room.ID) ([]room.ReceiptVersion, error) {
	c.then(c.asked.Add(1))
	return c.memory.ReceiptVersions(ctx, ids)
}

// deaf is a hub whose readers are told nothing.
type deaf struct{ Hub }

func (deaf) SetSide(room.ID, hub.Side, hub.SideUpdate) {}
func (deaf) ReadBy(room.ID, hub.Side, string) bool     { return false }

func (deaf) Tell(room.ID, hub.Side, string, bool, func(wire.Framing) []byte) {}

// watching starts a desk on a store, with so many rooms that are watched and known.
func watching(t *testing.T, c *compared, rooms int) *Desk {
	t.Helper()
	d := New(Config{Store: c, Kinds: room.NewKinds(nil), CheckEvery: time.Hour, TotalEvery: time.Hour})
	for i := range rooms {
		d.Needed(room.ID(fmt.Sprintf("chat:%d", i)))
	}
	d.Start(deaf{})
	t.Cleanup(func() { d.Stop(context.Background()) })
	return d
}

// RCPT-8: while many rooms are compared with the store, what was marked meanwhile is told between two parts of them, and the round comes to an end.
func TestTheRoundLetsOthersBetween(t *testing.T) {
	const parts = 4
	c := &compared{memory: newMemory()}
	over, began := make(chan struct{}), make(chan struct{})
	var d *Desk
	between := 0
	c.then = func(n int64) {
		if n == 1 {
			<-began
			d.Came("chat:0", "u1") // one who comes waits for no more than this part
		}
		d.mu.Lock()
		if len(d.owns) == 0 {
			between++
		}
		d.mu.Unlock()
		if n == parts {
			close(over)
		}
	}
	d = watching(t, c, parts*checkRooms)
	close(began)
	d.Check()
	<-over
	if between != parts-1 {
		t.Errorf("the one who came had been told before %d of %d parts", between, parts)
	}
}

// RCPT-10: a room in which nothing is marked is compared in one round of eight, and what was not heard of is found then; one in which something
// was, in the next.
func TestRoomsWithoutMarksAreComparedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rooms, every = 100, 15 * time.Second
		c := &counted{memory: newMemory()}
		d := New(Config{Store: c, Kinds: room.NewKinds(nil), CheckEvery: every, TotalEvery: time.Hour})
		for i := range rooms {
			id := room.ID(fmt.Sprintf("chat:%d", i))
			d.Needed(id)
			d.rooms[id].turn = i // that of chat:0 is the last but one of eight
		}
		d.Start(deaf{})
		waitFor(every + time.Second)
		c.check(t, "the first round", rooms)
		waitFor(idleRounds * every)
		c.check(t, "eight rounds", rooms)
		loads := d.Stats().Loads
		c.set(func() { c.version["chat:0"] = 3 })
		waitFor(idleRounds * every)
		if got := d.Stats().Loads - loads; got != 1 {
			t.Errorf("%d rooms were read where one had changed", got)
		}
		c.check(t, "eight rounds and the next of the room that had changed", rooms+1)
		d.Stop(context.Background())
	})
}

// counted is a store that counts of how many rooms it was asked the versions.
type counted struct {
	*memory
	rooms atomic.Int64
}

func (c *counted) ReceiptVersions(ctx context.Context, ids []room.ID) ([]room.ReceiptVersion, error) {
	c.rooms.Add(int64(len(ids)))
	return c.memory.ReceiptVersions(ctx, ids)
}

func (c *counted) check(t *testing.T, what string, want int64) {
	t.Helper()
	if got := c.rooms.Swap(0); got != want {
		t.Errorf("%s: %d rooms were compared, want %d", what, got, want)
	}
}

// A desk that stops does not finish the round first.
func TestStopsWithinARound(t *testing.T) {
	c := &compared{memory: newMemory()}
	var d *Desk
	closed := make(chan struct{})
	c.then = func(int64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.closed {
			d.closed = true
			close(closed)
		}
	}
	d = watching(t, c, 4*checkRooms)
	d.Check()
	<-closed
	d.Stop(context.Background())
	if n := c.asked.Load(); n != 1 {
		t.Errorf("it asked for %d parts after it was to stop", n-1)
	}
}
