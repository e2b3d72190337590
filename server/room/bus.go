package room

import "context"

// Bus carries hints between the nodes of a cluster: opaque messages by topic. It is best effort: a message may
// be lost, repeated, or overtaken by another, and who reads it must take nothing from that but speed. The
// log is the truth; losing the bus costs latency, never an event. Every adapter passes the suite in bustest.
//
// A bus belongs to one cluster, whose name is part of every name it uses, so that two clusters on one server
// never hear each other. It begins down and finds its way back by itself after every loss, for as long as it is open.
//
// All methods may be called concurrently, and none waits for the network except Close. A topic that
// [Topic.Valid] refuses is one that nobody hears: Publish drops, Subscribe does nothing.
type Bus interface {
	// Start begins to connect, and to tell the receiver what happens. It is called once; topics may be subscribed
	// before. That no server answers is no error: it is told as Down.
	Start(receiver BusReceiver)

	// Publish gives a message to all nodes that subscribe to the topic, this one included: a node's own messages come
	// back to it like those of others, and whoever numbers them learns from that that the bus works both ways.
	//
	// Publish never waits. A message is dropped, and counted in BusStats.Dropped, while the bus is down and
	// when more than a bounded number of bytes wait to be sent; that is no error. Errors are what no retry
	// mends: `message_too_large` above MaxBusMessage or what the server takes, and ErrBusClosed. The bus keeps the
	// slice: it must not be changed afterwards.
	Publish(topic Topic, message []byte) error

	// Subscribe asks for the messages of a topic; one that is subscribed already is left as it is. From
	// BusReceiver.Subscribed on, or from the next Up, messages arrive. Calls of Subscribe and Unsubscribe take effect in
	// their order: when Subscribed is told, so has every call before it.
	Subscribe(topic Topic)

	// Unsubscribe ends that; a topic that is not subscribed is left as it is. Messages on their way may still arrive.
	Unsubscribe(topic Topic)

	// Stats tells what was counted since the bus was opened.
	Stats() BusStats

	// Close sends what waits, where it can, then ends the bus and waits for its goroutines, all at most until ctx is
	// done, whose error it then returns. The receiver hears nothing after a Close that returned nil. It is
	// idempotent, and must not be called by the receiver.
	Close(ctx context.Context) error
}

// BusReceiver is told what happens on a bus. Its methods are called one at a time, in the order of what
// happened, by a goroutine of the bus. They must not block: while one runs, what arrives waits in a bounded
// number of bytes, and beyond them messages are dropped (Missed). They may call the bus, except Close.
type BusReceiver interface {
	// Received is a message of a topic, possibly one of this node. It may be kept, and must not be changed.
	Received(topic Topic, message []byte)

	// Subscribed tells that a topic is subscribed at the server: what is published from now on arrives, what was
	// published before may not have. It is told once for each Subscribe that asked for a topic that was not
	// subscribed. Who reads a head after it misses nothing that the bus carries.
	Subscribed(topic Topic)

	// Up tells that the bus works, and that every topic is subscribed again. What was published before may have been
	// lost: heads of all that is served are due for a check. It is told once after each Down, and once at the beginning.
	Up()

	// Down tells that the bus does not work: no server answers, a connection broke, or the server cut it because
	// this node was too slow. Messages may be lost from a little before it until the next Up. It is told once per
	// loss, and at the beginning if the first attempt fails; a server that falls silent is found out within about 3 seconds.
	// The reason holds no secret.
	Down(reason error)

	// Missed tells that n messages were dropped on this side because the receiver was slow, or that at least n
	// were where the adapter cannot count them. Messages after it arrive. Heads of all that is served are due for a check.
	Missed(n int)
}

// MaxBusMessage is the largest message of a bus in bytes, 1 MiB: what NATS takes by default.
const MaxBusMessage = 1 << 20

// Topic is what messages are published under: 1 to 255 bytes, none of which means anything to a bus. There are
// no patterns, levels or wildcards: an adapter encodes what its server would read as one.
type Topic string

const maxTopicLen = 255

// ClusterTopic is the topic that every node subscribes to.
const ClusterTopic Topic = "cluster"

const roomTopics = "room:"

// RoomTopic is the topic of a room.
func RoomTopic(id ID) Topic { return Topic(roomTopics + string(id)) }

// Room is the room that the topic is about; false if it is not about one.
func (t Topic) Room() (ID, bool) {
	if len(t) <= len(roomTopics) || t[:len(roomTopics)] != roomTopics {
		return "", false
	}
	return ID(t[len(roomTopics):]), true
}

// Valid reports whether the topic has 1 to 255 bytes.
func (t Topic) Valid() bool { return t != "" && len(t) <= maxTopicLen }

const maxClusterLen = 32

// ValidCluster reports whether s may name a cluster: `[a-z0-9][a-z0-9_-]{0,31}`.
func ValidCluster(s string) bool {
	if s == "" || len(s) > maxClusterLen || !isLower(s[0]) && !isDigit(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// BusOptions bound the memory of a bus. Each message counts with its topic and about 80 bytes more.
type BusOptions struct {
	OutboxBytes int // of messages that wait to be sent; default 8 MiB
	InboxBytes  int // of messages that wait for the receiver; default 16 MiB
}

// BusStats is what a bus counted since it was opened, and how it stands.
type BusStats struct {
	Up        bool   // Up was told last, and not Down
	Topics    int    // subscribed, as asked for
	Published uint64 // messages given to the server, which may have lost them all the same
	Dropped   uint64 // messages that Publish took and that were not sent: down, too many, cut off
	Received  uint64 // messages given to the receiver
	Missed    uint64 // messages that arrived and were dropped because the receiver was slow
	Lost      uint64 // times that Down was told
}

// ErrBusClosed says that a message was published after Close.
var ErrBusClosed = &Error{Code: CodeUnavailable, Title: "The bus is closed."}

// BusTooLarge is the error for a message larger than limit bytes.
func BusTooLarge(limit int) *Error {
	return &Error{
		Code: CodeMessageTooLarge, Title: "The message is larger than the bus takes.",
		Field: "message", Limit: int64(limit),
	}
}
