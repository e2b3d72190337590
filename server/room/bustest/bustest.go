// Package bustest is the suite that every room.Bus passes, run against real servers. An adapter's test is a
// [Factory]; nothing in here knows a server. Beside it stands [Faults], a bus that misbehaves on purpose. The
// package imports the port and nothing of the server besides.
package bustest

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// Factory gives nodes on one server, made for one test. What the server cannot do has a reason instead.
type Factory struct {
	// Open makes the bus of another node of a cluster, and does not start it. The suite closes it.
	Open func(t testing.TB, cluster string, o room.BusOptions) room.Bus
	// Stop ends the server and every connection to it; Start starts it again, with nothing kept.
	Stop, Start func(t testing.TB)
	// Pause makes the server neither read nor write, with its connections open; Resume lets it go on. Where
	// they are nil, NoPause says why.
	Pause, Resume func(t testing.TB)
	NoPause       string
	// Flush removes everything that the server keeps. Where it is nil, NoFlush says why.
	Flush   func(t testing.TB)
	NoFlush string
	// Cut makes the server cut the connections of all nodes, and stay. Where it is nil, NoCut says why.
	Cut   func(t testing.TB)
	NoCut string
	// Connections counts at the server the connections that nodes have; of one node they are at most Most.
	// Where it is nil, NoConnections says why.
	Connections   func(t testing.TB) int
	NoConnections string
	Most          int
	// Goroutines are parts of the names of functions, one of which is on the stack of any goroutine of a bus.
	Goroutines []string
}

// Run runs the suite. make is called once per case, and what it makes is used by that case alone.
func Run(t *testing.T, make func(t testing.TB) Factory) {
	cases := []struct {
		name string
		run  func(t *testing.T, f Factory)
	}{
		{"Deliver", testDeliver},
		{"OwnMessages", testOwnMessages},
		{"Subscribe", testSubscribe},
		{"SubscribeBeforeStart", testSubscribeBeforeStart},
		{"RoomTopics", testRoomTopics},
		{"HostileTopics", testHostileTopics},
		{"InvalidTopics", testInvalidTopics},
		{"Clusters", testClusters},
		{"Sizes", testSizes},
		{"Concurrent", testConcurrent},
		{"ManyTopics", testManyTopics},
		{"NoServer", testNoServer},
		{"Restart", testRestart},
		{"Cut", testCut},
		{"Pause", testPause},
		{"Flush", testFlush},
		{"SlowReceiver", testSlowReceiver},
		{"CloseSends", testCloseSends},
		{"CloseInTheMiddle", testCloseInTheMiddle},
		{"CloseWhileDown", testCloseWhileDown},
		{"CloseWhilePaused", testCloseWhilePaused},
		{"CloseWaitsForReceiver", testCloseWaitsForReceiver},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := make(t)
			t.Cleanup(func() { noneLeft(t, f) })
			c.run(t, f)
		})
	}
}

// patience is what a wait may take before the test is stuck. Nothing is expected to be slow.
const patience = time.Minute

// node is a bus with what its receiver heard.
type node struct {
	room.Bus
	*recorder
	t testing.TB
}

// join opens the bus of a node, starts it, and waits until it is up.
func (f Factory) join(t testing.TB, cluster string, topics ...room.Topic) *node {
	t.Helper()
	return f.joinWith(t, cluster, room.BusOptions{}, topics...)
}

func (f Factory) joinWith(t testing.TB, cluster string, o room.BusOptions, topics ...room.Topic) *node {
	t.Helper()
	n := f.open(t, cluster, o)
	n.Start(n.recorder)
	n.waitUp(1)
	n.subscribe(topics...)
	return n
}

func (f Factory) open(t testing.TB, cluster string, o room.BusOptions) *node {
	t.Helper()
	n := &node{Bus: f.Open(t, cluster, o), recorder: newRecorder(), t: t}
	t.Cleanup(func() {
		n.release()
		n.close()
	})
	return n
}

func (n *node) close() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		n.t.Errorf("close: %v", err)
	}
}

// subscribe subscribes, and waits until the server has said so.
func (n *node) subscribe(topics ...room.Topic) {
	n.t.Helper()
	before := n.snapshot()
	for _, topic := range topics {
		n.Subscribe(topic)
	}
	n.wait("the topics are subscribed", func(h heard) bool {
		for _, topic := range topics {
			if h.subscribed[topic] <= before.subscribed[topic] {
				return false
			}
		}
		return true
	})
}

func (n *node) publish(topic room.Topic, messages ...string) {
	n.t.Helper()
	for _, message := range messages {
		if err := n.Publish(topic, []byte(message)); err != nil {
			n.t.Errorf("publish to %q: %v", topic, err)
		}
	}
}

// waitUp waits until the bus is up and was told so at least so many times.
func (n *node) waitUp(times int) {
	n.t.Helper()
	n.wait("the bus is up", func(h heard) bool { return h.isUp && h.ups >= times })
}

func (n *node) waitDown() {
	n.t.Helper()
	n.wait("the bus is down", func(h heard) bool { return !h.isUp && h.downs > 0 })
}

// waitFor waits until the messages of a topic have arrived, each at least once.
func (n *node) waitFor(topic room.Topic, messages ...string) {
	n.t.Helper()
	n.wait("messages of "+short(string(topic))+" arrive", func(h heard) bool {
		for _, message := range messages {
			if h.messages[topic][message] == 0 {
				return false
			}
		}
		return true
	})
}

// hears waits until what was published before, by from to n, has surely gone by: messages of one node on one
// connection do not pass each other, and the message of the barrier is behind them.
func (n *node) hears(from *node, topic room.Topic) {
	n.t.Helper()
	before := n.snapshot().messages[topic]["barrier"]
	from.publish(topic, "barrier")
	n.wait("the barrier arrives", func(h heard) bool { return h.messages[topic]["barrier"] > before })
}

func (n *node) wait(what string, enough func(heard) bool) {
	n.t.Helper()
	if !n.recorder.wait(enough) {
		h := n.snapshot()
		n.t.Fatalf("waited in vain until %s: up %t (%d times), down %d times (%v), missed %d, stats %+v",
			what, h.isUp, h.ups, h.downs, h.reason, h.missed, n.Stats())
	}
}

// waitStats waits for what the stats count, which no receiver is told.
func (n *node) waitStats(what string, enough func(room.BusStats) bool) {
	n.t.Helper()
	for until := time.Now().Add(patience); !enough(n.Stats()); time.Sleep(time.Millisecond) { // between two looks
		if time.Now().After(until) {
			n.t.Fatalf("waited in vain until %s: %+v", what, n.Stats())
		}
	}
}

// noneLeft fails when a goroutine of a bus outlives it.
func noneLeft(t testing.TB, f Factory) {
	t.Helper()
	var left []string
	for until := time.Now().Add(patience); ; {
		stacks := make([]byte, 8<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = left[:0]
		for stack := range strings.SplitSeq(string(stacks), "\n\n") {
			for _, name := range f.Goroutines {
				if strings.Contains(stack, name) {
					left = append(left, stack)
					break
				}
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(until) {
			t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
			return
		}
		time.Sleep(time.Millisecond) // between two looks at all goroutines; what a library starts ends by itself
	}
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
