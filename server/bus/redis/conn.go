package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/rueidis"

	"roomlog/server/bus/link"
	"roomlog/server/room"
)

// conn is link.Conn: a client that publishes, and a line for each shard that subscribes. They break together.
type conn struct {
	inbox    *link.Inbox
	sockets  *link.Sockets
	client   rueidis.Client
	sharded  bool
	prefixes []string // of the channels of each line
	lines    []*line
	broken   chan error
	closing  sync.Once
}

// line is a connection that subscribes to channels of one prefix. It always holds one channel, the bare prefix:
// so it connects while no topic is wanted, and hears when the slot of its channels moves to another server.
type line struct {
	prefix    string
	dedicated rueidis.DedicatedClient
	confirmed chan struct{} // a value for each channel that the server confirmed
	ended     chan struct{}
}

// listen opens a line.
func (c *conn) listen(prefix string) (*line, error) {
	dedicated, _ := c.client.Dedicate()
	l := &line{prefix: prefix, dedicated: dedicated, confirmed: make(chan struct{}, 1024), ended: make(chan struct{})}
	failed := dedicated.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { c.received(l, m) },
		OnSubscription: func(s rueidis.PubSubSubscription) { c.confirms(l, s) },
	})
	go func() {
		defer close(l.ended)
		for err := range failed {
			c.breaks(err)
		}
		c.breaks(errEnded)
	}()
	if err := c.subscribe(l, []string{prefix}); err != nil {
		dedicated.Close()
		<-l.ended
		return nil, err
	}
	return l, nil
}

func (c *conn) received(l *line, m rueidis.PubSubMessage) {
	if topic, ok := topicOf(l.prefix, m.Channel); ok {
		c.inbox.Received(topic, []byte(m.Message))
	}
}

func (c *conn) confirms(l *line, s rueidis.PubSubSubscription) {
	switch s.Kind {
	case "subscribe", "ssubscribe":
		l.confirmed <- struct{}{} // there is room for all that one command asks for
	case "unsubscribe", "sunsubscribe":
		if s.Channel == l.prefix {
			c.breaks(errMoved) // we never ask for that
		}
	}
}

var errMoved = errors.New("the server ended the subscriptions: their slot moves")

func (c *conn) breaks(err error) {
	if err == nil {
		return
	}
	select {
	case c.broken <- fmt.Errorf("redis: %w", err):
	default:
	}
}

// subscribe returns once the server has confirmed all channels.
func (c *conn) subscribe(l *line, channels []string) error {
	b := l.dedicated.B()
	var command rueidis.Completed
	if c.sharded {
		command = b.Ssubscribe().Channel(channels...).Build()
	} else {
		command = b.Subscribe().Channel(channels...).Build()
	}
	if err := l.dedicated.Do(context.Background(), command).Error(); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for range channels {
		select {
		case <-l.confirmed:
		case <-l.ended:
			return errEnded
		}
	}
	return nil
}

var errEnded = errors.New("the connection ended")

// Subscribe is link.Conn's.
func (c *conn) Subscribe(topics []room.Topic) error {
	return c.each(topics, c.subscribe)
}

// Unsubscribe is link.Conn's.
func (c *conn) Unsubscribe(topics []room.Topic) error {
	return c.each(topics, func(l *line, channels []string) error {
		b := l.dedicated.B()
		var command rueidis.Completed
		if c.sharded {
			command = b.Sunsubscribe().Channel(channels...).Build()
		} else {
			command = b.Unsubscribe().Channel(channels...).Build()
		}
		if err := l.dedicated.Do(context.Background(), command).Error(); err != nil {
			return fmt.Errorf("unsubscribe: %w", err)
		}
		return nil
	})
}

// each calls do for each line that carries some of the topics.
func (c *conn) each(topics []room.Topic, do func(*line, []string) error) error {
	channels := make([][]string, len(c.lines))
	for _, topic := range topics {
		n := c.shard(topic)
		channels[n] = append(channels[n], c.channel(topic))
	}
	for n, some := range channels {
		if len(some) == 0 {
			continue
		}
		if err := do(c.lines[n], some); err != nil {
			return err
		}
	}
	return nil
}

// Publish is link.Conn's. A server that refuses one message, for want of a permission for example, would refuse
// the next: that is a loss, with the server's own words.
func (c *conn) Publish(batch []link.Message) (refused int, err error) {
	commands := make(rueidis.Commands, 0, len(batch))
	for _, m := range batch {
		channel, data := c.channel(m.Topic), rueidis.BinaryString(m.Data)
		if c.sharded {
			commands = append(commands, c.client.B().Spublish().Channel(channel).Message(data).Build())
		} else {
			commands = append(commands, c.client.B().Publish().Channel(channel).Message(data).Build())
		}
	}
	for _, r := range c.client.DoMulti(context.Background(), commands...) {
		if err := r.Error(); err != nil {
			return 0, fmt.Errorf("publish: %w", err)
		}
	}
	return 0, nil
}

// MaxMessage is link.Conn's: Redis takes more than the bus does, unless it is configured to take less than a MiB in
// one argument (proto-max-bulk-len), which it does not allow.
func (c *conn) MaxMessage() int { return room.MaxBusMessage }

// Broken is link.Conn's.
func (c *conn) Broken() <-chan error { return c.broken }

// Close is link.Conn's. Publish waits for the server's answer, so nothing is on its way here.
func (c *conn) Close() {
	c.closing.Do(func() {
		c.sockets.Close() // whoever waits for a silent server is freed first
		for _, l := range c.lines {
			l.dedicated.Close()
		}
		c.client.Close()
	})
	for _, l := range c.lines {
		<-l.ended
	}
}
