//go:build unix

package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/bus/nats"
	"roomlog/server/room"
)

// ear is a receiver that gives what it hears of the bus to channels, and a message to another.
type ear struct {
	up       chan struct{}
	down     chan error
	messages chan string
}

func newEar() *ear {
	return &ear{up: make(chan struct{}, 100), down: make(chan error, 100), messages: make(chan string, 100)}
}

func (e *ear) Received(_ room.Topic, message []byte) { e.messages <- string(message) }
func (e *ear) Subscribed(room.Topic)                 {}
func (e *ear) Up()                                   { e.up <- struct{}{} }
func (e *ear) Down(reason error)                     { e.down <- reason }
func (e *ear) Missed(int)                            {}

const patience = time.Minute

func next[T any](t *testing.T, c chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
	return value
}

func start(t *testing.T, dsn string, topics ...room.Topic) (room.Bus, *ear) {
	t.Helper()
	bus, e := open(dsn)(t, "main", room.BusOptions{}), newEar()
	for _, topic := range append(topics, room.ClusterTopic) {
		bus.Subscribe(topic)
	}
	bus.Start(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		no(t, bus.Close(ctx))
	})
	return bus, e
}

// What the server takes is the limit, where that is less than the bus's.
func TestServerTakesLess(t *testing.T) {
	s := serve(t, "max_payload: 1000")
	bus, e := start(t, s.URL())
	next(t, e.up)
	var refused *room.Error
	if err := bus.Publish(room.ClusterTopic, make([]byte, 1001)); !errors.As(err, &refused) || refused.Limit != 1000 {
		t.Errorf("a byte above the server's limit: %v", err)
	}
	largest := strings.Repeat("x", 1000)
	no(t, bus.Publish(room.ClusterTopic, []byte(largest)))
	if got := next(t, e.messages); got != largest {
		t.Errorf("received %d bytes", len(got))
	}
	if s := bus.Stats(); s.Lost != 0 {
		t.Errorf("the stats are %+v", s)
	}
}

const password = "canary-of-the-password"

// A refused login is a loss with a reason, which holds no secret; so is a subject that may not be subscribed.
func TestRefused(t *testing.T) {
	login := fmt.Sprintf("authorization { user: u, password: %q }", "another-"+password)
	denied := fmt.Sprintf("authorization { users: [{ user: u, password: %q, permissions: { subscribe: { deny: [%q] } } }] }",
		password, "roomlog.main.cluster")
	for name, c := range map[string]struct{ setting, scheme, reason string }{
		"password":   {login, "nats", "authorization violation"},
		"permission": {denied, "nats", "permissions violation"},
		"plain text": {"", "tls", "secure connection not available"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.setting)
			bus, e := start(t, c.scheme+"://u:"+password+"@"+s.Address())
			reason := strings.ToLower(next(t, e.down).Error())
			if !strings.Contains(reason, c.reason) || strings.Contains(reason, password) {
				t.Errorf("the reason is %q", reason)
			}
			if bus.Stats().Up {
				t.Error("the bus is up")
			}
		})
	}
}

// TLS: a server whose certificate is trusted is taken, one under another name is not.
func TestTLS(t *testing.T) {
	s := serve(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", certificate, key))
	bus, e := start(t, "tls://"+s.Address())
	next(t, e.up)
	no(t, bus.Publish(room.ClusterTopic, []byte("here")))
	if got := next(t, e.messages); got != "here" {
		t.Errorf("received %q", got)
	}
	_, e = start(t, "tls://"+strings.Replace(s.Address(), "127.0.0.1", "localhost", 1))
	if reason := next(t, e.down).Error(); !strings.Contains(reason, "certificate") {
		t.Errorf("the reason is %q", reason)
	}
}

// A bus finds the servers of a list that are there.
func TestServerList(t *testing.T) {
	gone, s := serve(t), serve(t)
	dsn := gone.URL() + "," + s.URL()
	no(t, gone.Stop())
	bus, e := start(t, dsn)
	next(t, e.up)
	no(t, bus.Publish(room.ClusterTopic, []byte("here")))
	if got := next(t, e.messages); got != "here" {
		t.Errorf("received %q", got)
	}
	if _, err := nats.Open(dsn+",x", "main", room.BusOptions{}); err == nil {
		t.Error("an address without a scheme is taken")
	}
}
