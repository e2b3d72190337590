package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

// A bus whose server is not there says so, drops, and is up once the server is.
func testNoServer(t *testing.T, f Factory) {
	f.Stop(t)
	a := f.open(t, "main", room.BusOptions{})
	a.Start(a.recorder)
	a.Subscribe(someTopic)
	a.waitDown()
	if h := a.snapshot(); h.order[0] != "down" || h.reason == nil || h.reason.Error() == "" {
		t.Errorf("told first: %v, %v", h.order, h.reason)
	}
	a.publish(someTopic, numbered("lost", 10)...)
	if s := a.Stats(); s.Dropped != 10 || s.Published != 0 || s.Up {
		t.Errorf("the stats are %+v", s)
	}
	f.Start(t)
	a.waitUp(1)
	a.publish(someTopic, "found")
	a.waitFor(someTopic, "found")
}

// After a loss, Down is told; what is published meanwhile is dropped and counted; when Up is told, every topic is
// subscribed again, those included that were subscribed meanwhile.
func testRestart(t *testing.T, f Factory) {
	topics := make([]room.Topic, 1500)
	for n := range topics {
		topics[n] = room.Topic(fmt.Sprintf("room:chat:%d", n))
	}
	a, b := f.join(t, "main", "room:x:own"), f.join(t, "main", topics...)
	for round := range 2 {
		f.Stop(t)
		a.waitDown()
		b.waitDown()
		before := a.Stats()
		a.publish(topics[0], numbered("lost", 100)...)
		if s := a.Stats(); s.Dropped != before.Dropped+100 || s.Lost != uint64(round+1) || s.Up {
			t.Errorf("the stats are %+v, and were %+v", s, before)
		}
		added := room.Topic(fmt.Sprintf("room:x:added-%d", round))
		b.Subscribe(added)
		b.Unsubscribe(topics[round])
		f.Start(t)
		a.waitUp(round + 2)
		b.waitUp(round + 2)
		for _, topic := range append([]room.Topic{added}, topics[2:]...) {
			a.publish(topic, fmt.Sprint("round ", round))
		}
		for _, topic := range append([]room.Topic{added}, topics[2:]...) {
			b.waitFor(topic, fmt.Sprint("round ", round))
		}
		h := b.snapshot()
		at := slices.Index(h.order, "subscribed "+string(added))
		if at < 0 || !slices.Contains(h.order[at:], "up") {
			t.Errorf("a topic subscribed while the bus was down was told as such at %d of %d, and no Up after it", at, len(h.order))
		}
		if n := h.subscribed[topics[2]]; n != 1 {
			t.Errorf("a topic was told as subscribed %d times", n)
		}
		if lost := len(h.messages[topics[0]]); lost > 0 {
			t.Errorf("%d messages arrived that were published while the bus was down", lost)
		}
		if h.ups != round+2 || h.downs != round+1 {
			t.Errorf("after %d losses: %d times up, %d times down", round+1, h.ups, h.downs)
		}
	}
}

// A server that cuts its connections and stays is a loss like any other.
func testCut(t *testing.T, f Factory) {
	if f.Cut == nil {
		t.Skip(f.NoCut)
	}
	a, b := f.join(t, "main"), f.join(t, "main", someTopic)
	f.Cut(t)
	a.wait("the loss is told", func(h heard) bool { return h.downs == 1 })
	b.wait("the loss is told", func(h heard) bool { return h.downs == 1 })
	a.waitUp(2)
	b.waitUp(2)
	a.publish(someTopic, "again")
	b.waitFor(someTopic, "again")
}

// A server that does not read makes nobody wait: messages are dropped, the loss is found, and after it all is well.
func testPause(t *testing.T, f Factory) {
	if f.Pause == nil {
		t.Skip(f.NoPause)
	}
	o := room.BusOptions{OutboxBytes: 1 << 20}
	a, b := f.joinWith(t, "main", o, "room:x:own"), f.joinWith(t, "main", o, someTopic)
	f.Pause(t)
	resumed := false
	defer func() {
		if !resumed {
			f.Resume(t)
		}
	}()
	big := strings.Repeat("x", 64<<10)
	for range 1000 { // 64 MB: more than any socket holds
		a.publish(someTopic, big)
		a.Subscribe("room:x:meanwhile")
		a.Unsubscribe("room:x:own")
	}
	if s := a.Stats(); s.Dropped == 0 {
		t.Errorf("nothing was dropped: %+v", s)
	}
	a.waitDown()
	b.waitDown()
	f.Resume(t)
	resumed = true
	a.waitUp(2)
	b.waitUp(2)
	a.publish(someTopic, "again")
	b.waitFor(someTopic, "again")
	b.publish("room:x:meanwhile", "added")
	a.waitFor("room:x:meanwhile", "added")
}

// A flush takes nothing from a bus: it keeps nothing at the server.
func testFlush(t *testing.T, f Factory) {
	if f.Flush == nil {
		t.Skip(f.NoFlush)
	}
	a, b := f.join(t, "main"), f.join(t, "main", someTopic)
	a.publish(someTopic, "before")
	b.waitFor(someTopic, "before")
	f.Flush(t)
	a.publish(someTopic, "after")
	b.waitFor(someTopic, "after")
	if sa, sb := a.Stats(), b.Stats(); sa.Lost+sb.Lost != 0 {
		t.Errorf("the stats are %+v and %+v", sa, sb)
	}
}

// A receiver that is slow costs bounded memory: what does not fit is dropped, counted, and told in its place.
func testSlowReceiver(t *testing.T, f Factory) {
	a, b := f.join(t, "main"), f.joinWith(t, "main", room.BusOptions{InboxBytes: 64 << 10}, someTopic)
	b.hold()
	a.publish(someTopic, "first")
	if !b.waitHeld() {
		t.Fatal("no call was held")
	}
	const many = 1000
	pad := strings.Repeat("x", 1000)
	a.publish(someTopic, numbered(pad, many)...)
	b.waitStats("nearly all were missed", func(s room.BusStats) bool { return s.Missed >= many-64 })
	if s := b.Stats(); s.Lost != 0 {
		t.Errorf("the stats are %+v", s)
	}
	b.release()
	b.wait("all is accounted for", func(h heard) bool { return h.received+h.missed == many+1 })
	h := b.snapshot()
	if h.missed < many-64 || uint64(h.missed) != b.Stats().Missed {
		t.Errorf("told %d missed, of %+v", h.missed, b.Stats())
	}
	a.publish(someTopic, "later")
	b.waitFor(someTopic, "later")
}

// Close sends what waits.
func testCloseSends(t *testing.T, f Factory) {
	a, b := f.join(t, "main"), f.join(t, "main", someTopic)
	messages := numbered("last words", 2000)
	a.publish(someTopic, messages...)
	a.close()
	b.waitFor(someTopic, messages...)
}

// Close may come at any time: it ends calls and goroutines, and the receiver hears nothing after it.
func testCloseInTheMiddle(t *testing.T, f Factory) {
	for range 5 {
		a, b := f.joinWith(t, "main", room.BusOptions{OutboxBytes: 256 << 10}, someTopic), f.join(t, "main", someTopic)
		stop := make(chan struct{})
		var busy sync.WaitGroup
		for worker := range 4 {
			busy.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					topic := room.Topic(fmt.Sprintf("room:x:%d-%d", worker, i%500))
					a.Subscribe(topic)
					for _, to := range []room.Topic{topic, someTopic} {
						if err := a.Publish(to, []byte("x")); err != nil && !errors.Is(err, room.ErrBusClosed) {
							t.Errorf("publish: %v", err)
						}
					}
					a.Unsubscribe(topic)
				}
			})
		}
		b.wait("something arrives", func(h heard) bool { return h.received > 50 })
		a.close()
		heardAll := a.snapshot().received
		close(stop)
		busy.Wait()
		if err := a.Publish(someTopic, nil); !errors.Is(err, room.ErrBusClosed) {
			t.Errorf("publish after close: %v", err)
		}
		a.Subscribe("room:x:after")
		a.close()                         // again
		c := f.join(t, "main", someTopic) // b may just be down: what was published kept it from its server
		c.hears(c, someTopic)
		if n := a.snapshot().received; n != heardAll {
			t.Errorf("the receiver heard %d messages after close", n-heardAll)
		}
	}
	unused := f.open(t, "main", room.BusOptions{})
	unused.Subscribe(someTopic)
	unused.close()
	unused.Start(unused.recorder)
	if h := unused.snapshot(); len(h.order) > 0 {
		t.Errorf("a closed bus told %v", h.order)
	}
}

// Close does not wait for a server that is not there.
func testCloseWhileDown(t *testing.T, f Factory) {
	a := f.join(t, "main", someTopic)
	f.Stop(t)
	a.waitDown()
	a.close()
	if s := a.Stats(); s.Up {
		t.Errorf("the stats are %+v", s)
	}
}

// Close waits no longer than its context for a server that does not read.
func testCloseWhilePaused(t *testing.T, f Factory) {
	if f.Pause == nil {
		t.Skip(f.NoPause)
	}
	a := f.join(t, "main", someTopic)
	f.Pause(t)
	defer f.Resume(t)
	for range 200 {
		a.publish(someTopic, strings.Repeat("x", 64<<10))
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Close(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	a.close() // waits for the rest
}

// Close waits for a call of the receiver that runs, but no longer than its context.
func testCloseWaitsForReceiver(t *testing.T, f Factory) {
	a := f.join(t, "main", someTopic)
	a.hold()
	a.publish(someTopic, "held")
	if !a.waitHeld() {
		t.Fatal("no call was held")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("close with a call that runs: %v", err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.close()
	}()
	select {
	case <-closed:
		t.Error("close did not wait for a call that runs")
	case <-time.After(50 * time.Millisecond): // a Close that does not wait had time to show it
	}
	a.release()
	<-closed
	if n := a.snapshot().received; n != 1 {
		t.Errorf("the receiver heard %d messages", n)
	}
}
