// Package nats carries the bus over NATS core subjects: one connection, no streams, nothing kept. What JetStream
// adds is not needed, because the log is the truth.
//
// A topic is one level of the subject `roomlog.<cluster>.<topic>`, escaped so that no topic can hold a wildcard
// or a level of its own. Within a NATS cluster a subscription is known to the server that confirmed it, and
// reaches the others a moment later: a message published at another server in that moment does not arrive.
// The numbers of a node's messages and the sweep mend that, as they mend any lost hint.
package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"roomlog/server/bus/link"
	"roomlog/server/room"
)

// A server that says nothing is found dead after silence, whether it must answer or read. Messages that came
// and were not yet put into the inbox are at most so many; putting them in never waits.
const (
	silence  = 2 * time.Second
	pingGap  = time.Second
	incoming = 1 << 16
)

// Open makes a bus of a cluster over the servers of dsn, which is not connected before Start. The DSN is
// `nats://[user:password@]host[:port]`, or tls:// with TLS, or several of them with commas between; a user
// without a password is a token. An error is one of the DSN or the cluster's name, and holds no secret.
func Open(dsn, cluster string, o room.BusOptions) (*link.Link, error) {
	if !room.ValidCluster(cluster) {
		return nil, errors.New("the name of a cluster is 1 to 32 of a-z, 0-9, _ and -, such as main")
	}
	for one := range strings.SplitSeq(dsn, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" || u.Scheme != "nats" && u.Scheme != "tls" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, errors.New("the address of NATS is nats://host:4222 or tls://host:4222, several with commas between")
		}
	}
	return link.New(&dialer{dsn: dsn, prefix: "roomlog." + cluster + "."}, o), nil
}

type dialer struct{ dsn, prefix string }

// Dial is link.Dialer's.
func (d *dialer) Dial(ctx context.Context, inbox *link.Inbox) (link.Conn, error) {
	c := &conn{
		prefix: d.prefix, inbox: inbox, sockets: link.NewSockets(net.Dialer{Timeout: silence, KeepAlive: silence}),
		incoming: make(chan *nats.Msg, incoming), broken: make(chan error, 1), closed: make(chan struct{}),
		subscribed: map[room.Topic]*nats.Subscription{},
	}
	defer context.AfterFunc(ctx, c.sockets.Close)()
	nc, err := nats.Connect(d.dsn, nats.Name("roomlog"), nats.SetCustomDialer(c.sockets),
		nats.NoReconnect(), nats.ReconnectOnFlusherError(), // link reconnects; a write that failed ends the connection
		nats.Timeout(silence), nats.FlusherTimeout(silence), nats.PingInterval(pingGap), nats.MaxPingsOutstanding(1),
		nats.ClosedHandler(func(nc *nats.Conn) {
			c.breaks(nc.LastError())
			close(c.closed)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.trouble(err) }))
	if err != nil {
		c.sockets.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c.nats = nc
	c.forwarding.Go(c.forward)
	return c, nil
}

// conn is link.Conn over one connection.
type conn struct {
	prefix     string
	inbox      *link.Inbox
	sockets    *link.Sockets
	nats       *nats.Conn
	incoming   chan *nats.Msg // of all subscriptions: a goroutine for each would be one for each room
	subscribed map[room.Topic]*nats.Subscription
	broken     chan error
	closed     chan struct{} // the library has ended
	closing    sync.Once
	forwarding sync.WaitGroup
}

// forward puts what arrives into the inbox, until the connection is closed.
func (c *conn) forward() {
	for {
		select {
		case m := <-c.incoming:
			if topic, ok := decode(m.Subject[len(c.prefix):]); ok {
				c.inbox.Received(topic, m.Data)
			}
		case <-c.closed:
			return
		}
	}
}

// trouble hears of what goes wrong beside calls.
func (c *conn) trouble(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		c.inbox.Missed(1) // the library tells the first of a row only
		return
	}
	c.breaks(err)
}

func (c *conn) breaks(err error) {
	if err == nil {
		err = nats.ErrConnectionClosed
	}
	select {
	case c.broken <- fmt.Errorf("NATS: %w", err):
	default:
	}
}

// Subscribe is link.Conn's.
func (c *conn) Subscribe(topics []room.Topic) error {
	for _, topic := range topics {
		s, err := c.nats.ChanSubscribe(c.prefix+encode(topic), c.incoming)
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		c.subscribed[topic] = s
	}
	// A server answers in order: once it has answered this, it has the subscriptions.
	if err := c.nats.FlushTimeout(2 * silence); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	// A refusal came before the answer, and may not have reached trouble yet.
	if err := c.nats.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// Unsubscribe is link.Conn's.
func (c *conn) Unsubscribe(topics []room.Topic) error {
	for _, topic := range topics {
		if err := c.subscribed[topic].Unsubscribe(); err != nil {
			return fmt.Errorf("unsubscribe: %w", err)
		}
		delete(c.subscribed, topic)
	}
	return nil
}

// Publish is link.Conn's.
func (c *conn) Publish(batch []link.Message) (refused int, err error) {
	for _, m := range batch {
		err := c.nats.Publish(c.prefix+encode(m.Topic), m.Data)
		if errors.Is(err, nats.ErrMaxPayload) {
			refused++
		} else if err != nil {
			return refused, fmt.Errorf("publish: %w", err)
		}
	}
	return refused, nil
}

// MaxMessage is link.Conn's.
func (c *conn) MaxMessage() int { return int(c.nats.MaxPayload()) }

// Broken is link.Conn's.
func (c *conn) Broken() <-chan error { return c.broken }

// Close is link.Conn's. What was published before is sent if the server takes it at once.
func (c *conn) Close() {
	c.closing.Do(func() {
		// The library flushes as it closes, and holds its lock while it writes: a server that reads nothing
		// would hold us for as long as a write may take. What it does not take within a moment is given up.
		cut := time.AfterFunc(silence/4, c.sockets.Close)
		c.nats.Close()
		<-c.closed
		cut.Stop()
		c.sockets.Close()
	})
	c.forwarding.Wait()
}

// encode is the topic as one level of a subject: what is not a letter, a digit, or one of `_:@-` becomes = and two hex digits.
func encode(topic room.Topic) string {
	escapes := 0
	for n := range len(topic) {
		if !plain(topic[n]) {
			escapes++
		}
	}
	if escapes == 0 {
		return string(topic)
	}
	const hex = "0123456789ABCDEF"
	b := slices.Grow([]byte(nil), len(topic)+2*escapes)
	for n := range len(topic) {
		if c := topic[n]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// decode is encode's inverse; false for what encode never makes.
func decode(level string) (room.Topic, bool) {
	if !strings.Contains(level, "=") {
		return room.Topic(level), true
	}
	b := make([]byte, 0, len(level))
	for n := 0; n < len(level); n++ {
		if level[n] != '=' {
			b = append(b, level[n])
			continue
		}
		if n+2 >= len(level) {
			return "", false
		}
		high, low := digit(level[n+1]), digit(level[n+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b = append(b, byte(high<<4|low))
		n += 2
	}
	return room.Topic(b), true
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':' || c == '@' || c == '-'
}

func digit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
