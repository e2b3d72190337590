package bustest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"roomlog/server/room"
)

const someTopic room.Topic = "room:chat:general"

func numbered(prefix string, n int) []string {
	messages := make([]string, n)
	for i := range messages {
		messages[i] = fmt.Sprintf("%s %d", prefix, i)
	}
	return messages
}

// A message reaches every node that subscribes, and no other.
func testDeliver(t *testing.T, f Factory) {
	a, b, c := f.join(t, "main"), f.join(t, "main", someTopic), f.join(t, "main", someTopic)
	d := f.join(t, "main", "room:chat:other")
	messages := numbered("message", 100)
	a.publish(someTopic, messages...)
	b.waitFor(someTopic, messages...)
	c.waitFor(someTopic, messages...)
	d.hears(a, "room:chat:other")
	for name, n := range map[string]*node{"the sender, which does not subscribe": a, "a node that subscribes to another topic": d} {
		if got := n.snapshot().messages[someTopic]; len(got) > 0 {
			t.Errorf("%s received %d messages", name, len(got))
		}
	}
	for _, n := range []*node{b, c} {
		h := n.snapshot()
		if h.overlaps > 0 {
			t.Errorf("%d calls of the receiver overlapped", h.overlaps)
		}
		if s := n.Stats(); !s.Up || s.Received != 100 || s.Topics != 1 || s.Missed != 0 || s.Lost != 0 {
			t.Errorf("the stats of a reader are %+v", s)
		}
	}
	a.waitStats("all messages are counted as sent", func(s room.BusStats) bool { return s.Published == 101 })
	if s := a.Stats(); s.Dropped != 0 {
		t.Errorf("the stats of the sender are %+v", s)
	}
}

// A node's own messages come back to it.
func testOwnMessages(t *testing.T, f Factory) {
	a := f.join(t, "main", someTopic, room.ClusterTopic)
	a.publish(someTopic, "mine")
	a.waitFor(someTopic, "mine")
	a.publish(room.ClusterTopic, "beat")
	a.waitFor(room.ClusterTopic, "beat")
}

// Subscribing twice is subscribing once; after an Unsubscribe nothing comes; another Subscribe is told again.
func testSubscribe(t *testing.T, f Factory) {
	a, b := f.join(t, "main"), f.join(t, "main", "room:x:barrier", someTopic)
	b.Subscribe(someTopic)
	b.subscribe("room:x:later")
	if told := b.snapshot().subscribed[someTopic]; told != 1 {
		t.Errorf("a topic that was subscribed twice was told %d times", told)
	}
	a.publish(someTopic, "one")
	b.waitFor(someTopic, "one")

	b.Unsubscribe(someTopic)
	b.Unsubscribe(someTopic)
	b.Unsubscribe("room:x:never")
	b.subscribe("room:x:after") // the server heard of the end before
	a.publish(someTopic, "two")
	b.hears(a, "room:x:barrier")
	if b.snapshot().messages[someTopic]["two"] != 0 {
		t.Error("a message arrived after the topic was unsubscribed")
	}

	for range 20 { // however it ends at the server, the last call counts, and is told
		b.Subscribe(someTopic)
		b.Unsubscribe(someTopic)
	}
	b.subscribe(someTopic)
	a.publish(someTopic, "three")
	b.waitFor(someTopic, "three")
	if n := b.Stats().Topics; n != 4 {
		t.Errorf("the stats count %d topics of 4", n)
	}
}

// What is subscribed before Start is subscribed when the bus is up.
func testSubscribeBeforeStart(t *testing.T, f Factory) {
	a, b := f.join(t, "main"), f.open(t, "main", room.BusOptions{})
	b.Subscribe(someTopic)
	b.Subscribe("room:x:given-up")
	b.Unsubscribe("room:x:given-up")
	b.Start(b.recorder)
	b.waitUp(1)
	a.publish(someTopic, "here")
	b.waitFor(someTopic, "here")
	h := b.snapshot()
	if h.subscribed[someTopic] != 1 || h.subscribed["room:x:given-up"] != 0 {
		t.Errorf("told as subscribed: %v", h.subscribed)
	}
}

// Every room has a topic: all characters of ROOM-1, and ids of every length.
func testRoomTopics(t *testing.T, f Factory) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	names := []string{"a:a", "chat:A", "chat:a", "chat:a.b", "chat:a.b.c", "chat:a..b", "chat:a:b", "chat:a@b.c", "a_-:0_.:@-",
		"chat:" + letters + "_.:@-", "chat:" + strings.Repeat("x", 195), "chat:" + strings.Repeat("a.", 97) + "a"}
	var topics []room.Topic
	for _, name := range names {
		id, err := room.ParseID(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		topics = append(topics, room.RoomTopic(id))
	}
	a, b := f.join(t, "main"), f.join(t, "main", topics...)
	for n, topic := range topics {
		a.publish(topic, names[n])
	}
	for n, topic := range topics {
		b.waitFor(topic, names[n])
		if got := b.snapshot().messages[topic]; len(got) != 1 {
			t.Errorf("%s received %v", topic, got)
		}
	}
}

// hostile are topics that would be patterns, levels, commands or hash tags if an adapter let them.
var hostile = []room.Topic{
	"*", ">", ".", "..", "a.*", "a.>", "*.b", "room:*", "room:chat:*", "room.chat.*", "roomlog.>", "roomlog.main.>", "roomlog:main:*",
	"a b", " ", "a ", "a\tb", "a\r\nPUB roomlog.main.a 1\r\nx", "a\nUNSUBSCRIBE", "\x00", "a\x00", "\xff\xfe",
	"{a}", "a}", "{", "{}", "[a-z]", "?", "room:chat:?eneral", `\*`, "=2A", "=", "=2", "a=", "%2A", "$SYS.>", "_INBOX.>", "é", "日本",
}

// innocent are topics that a pattern among the hostile ones would match.
var innocent = []room.Topic{someTopic, "a", "b", "ab", "a.b", "a.b.c", "x.b", "room.chat.general", "roomlog.main.a", "roomlog:main:a", "*a", "2A"}

// A topic is its bytes: nothing in it is a pattern, a level or a command.
func testHostileTopics(t *testing.T, f Factory) {
	a, b, c := f.join(t, "main", "room:x:sender"), f.join(t, "main", hostile...), f.join(t, "main", innocent...)
	for _, topic := range innocent {
		a.publish(topic, "innocent "+string(topic))
	}
	for _, topic := range innocent {
		c.waitFor(topic, "innocent "+string(topic))
	}
	for _, topic := range hostile {
		a.publish(topic, "hostile "+string(topic))
	}
	for _, topic := range hostile {
		b.waitFor(topic, "hostile "+string(topic))
	}
	for name, n := range map[string]*node{"hostile": b, "innocent": c} {
		for topic, messages := range n.snapshot().messages {
			if len(messages) != 1 || messages[name+" "+string(topic)] != 1 {
				t.Errorf("%s topic %q received %q", name, topic, messages)
			}
		}
	}
	for _, n := range []*node{a, b, c} {
		if s := n.Stats(); s.Lost != 0 {
			t.Errorf("a connection was lost: %+v", s)
		}
	}
}

// Topics that are none are heard by nobody and harm nobody.
func testInvalidTopics(t *testing.T, f Factory) {
	a := f.join(t, "main", someTopic)
	for _, topic := range []room.Topic{"", room.Topic(strings.Repeat("x", 256))} {
		a.Subscribe(topic)
		a.publish(topic, "nobody")
		a.Unsubscribe(topic)
	}
	longest := room.Topic(strings.Repeat("*", 255))
	a.subscribe(longest)
	a.publish(longest, "all of it")
	a.waitFor(longest, "all of it")
	a.hears(a, someTopic)
	s := a.Stats()
	if s.Dropped != 2 || s.Topics != 2 || s.Lost != 0 {
		t.Errorf("the stats are %+v", s)
	}
}

// Clusters on one server do not hear each other, whatever their names have in common.
func testClusters(t *testing.T, f Factory) {
	names := []string{"a", "b", "a-b", "a_b", "aa", "0"}
	nodes := map[string]*node{}
	for _, name := range names {
		nodes[name] = f.join(t, name, someTopic, room.ClusterTopic, "b:x", "x")
	}
	for _, name := range names {
		for _, topic := range []room.Topic{someTopic, room.ClusterTopic, "b:x", "x"} {
			nodes[name].publish(topic, "from "+name)
		}
	}
	for _, name := range names {
		for _, topic := range []room.Topic{someTopic, room.ClusterTopic, "b:x", "x"} {
			nodes[name].waitFor(topic, "from "+name)
			if got := nodes[name].snapshot().messages[topic]; len(got) != 1 {
				t.Errorf("cluster %s received %v", name, got)
			}
		}
	}
}

// Messages of any bytes up to the limit arrive as they were; one above it is refused, and nothing is cut for it.
func testSizes(t *testing.T, f Factory) {
	a, b := f.join(t, "main"), f.join(t, "main", someTopic)
	random := rand.NewChaCha8([32]byte{7})
	for _, size := range []int{0, 1, 2, 1023, 64 << 10, 1<<20 - 1, 1 << 20} {
		message := make([]byte, size)
		_, _ = random.Read(message) // it never fails
		sent := string(message)
		if err := a.Publish(someTopic, message); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		b.waitFor(someTopic, sent)
	}
	var refused *room.Error
	err := a.Publish(someTopic, bytes.Repeat([]byte("x"), 1<<20+1))
	if !errors.As(err, &refused) || refused.Code != room.CodeMessageTooLarge || refused.Limit != 1<<20 {
		t.Errorf("a byte above the limit: %v", err)
	}
	b.hears(a, someTopic)
	if sa, sb := a.Stats(), b.Stats(); sa.Lost+sb.Lost+sa.Dropped+sb.Missed != 0 {
		t.Errorf("the stats are %+v and %+v", sa, sb)
	}
}

// Everything may be called concurrently, and all that three nodes say reaches all three.
func testConcurrent(t *testing.T, f Factory) {
	nodes := []*node{f.join(t, "main", someTopic), f.join(t, "main", someTopic), f.join(t, "main", someTopic)}
	var senders sync.WaitGroup
	for n, from := range nodes {
		for worker := range 4 {
			senders.Go(func() {
				for i := range 100 {
					from.publish(someTopic, fmt.Sprint(n, worker, i))
					other := room.Topic(fmt.Sprintf("room:x:%d-%d", worker, i))
					from.Subscribe(other)
					from.publish(other, "x")
					from.Unsubscribe(other)
					from.Stats()
				}
			})
		}
	}
	senders.Wait()
	for _, to := range nodes {
		to.wait("all messages arrive", func(h heard) bool { return len(h.messages[someTopic]) == len(nodes)*4*100 })
		if h := to.snapshot(); h.overlaps > 0 {
			t.Errorf("%d calls of the receiver overlapped", h.overlaps)
		}
	}
}

// Thousands of topics are cheap, and cost no connection.
func testManyTopics(t *testing.T, f Factory) {
	const many = 10_000
	topics := make([]room.Topic, many)
	for n := range topics {
		topics[n] = room.Topic(fmt.Sprintf("room:chat:%d", n))
	}
	a, b := f.join(t, "main"), f.join(t, "main")
	for _, topic := range topics {
		b.Subscribe(topic)
	}
	b.wait("all topics are subscribed", func(h heard) bool { return len(h.subscribed) == many })
	if f.Connections == nil {
		t.Logf("connections are not counted: %s", f.NoConnections)
	} else if n := f.Connections(t); n == 0 || n > 2*f.Most {
		t.Errorf("two nodes have %d connections, of at most %d each", n, f.Most)
	} else {
		t.Logf("two nodes with %d topics have %d connections", many, n)
	}
	for n := 0; n < many; n += 7 {
		a.publish(topics[n], "here")
	}
	for n := 0; n < many; n += 7 {
		b.waitFor(topics[n], "here")
	}
	for _, topic := range topics {
		b.Unsubscribe(topic)
	}
	b.subscribe("room:x:last")
	a.publish(topics[0], "gone")
	b.hears(a, "room:x:last")
	if b.snapshot().messages[topics[0]]["gone"] != 0 || b.Stats().Topics != 1 {
		t.Errorf("topics are left: %+v", b.Stats())
	}
}
