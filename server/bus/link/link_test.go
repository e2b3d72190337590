package link_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/bus/link"
	"roomlog/server/room"
)

// script is a server whose every answer the test gives: it is what real servers cannot be made to show at will.
type script struct {
	mu    sync.Mutex
	dials []time.Time
	fails int // dials that fail first
	conns []*conn
}

var errDial, errBroken = errors.New("nobody is there"), errors.New("it broke")

func (s *script) Dial(_ context.Context, inbox *link.Inbox) (link.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, time.Now())
	if len(s.dials) <= s.fails {
		return nil, errDial
	}
	c := &conn{inbox: inbox, answer: make(chan error), broken: make(chan error, 1), closed: make(chan struct{})}
	s.conns = append(s.conns, c)
	return c, nil
}

func (s *script) last() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[len(s.conns)-1]
}

// asked is what the newest connection was asked.
func (s *script) asked() []string { return s.last().noted() }

type conn struct {
	inbox   *link.Inbox
	answer  chan error // ends a Subscribe
	broken  chan error
	closing sync.Once
	closed  chan struct{}

	mu    sync.Mutex
	calls []string
}

func (c *conn) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
}

func (c *conn) noted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

func (c *conn) Subscribe(topics []room.Topic) error {
	slices.Sort(topics)
	c.note("subscribe %v", topics)
	select {
	case err := <-c.answer:
		return err
	case <-c.closed:
		return errBroken
	}
}

func (c *conn) Unsubscribe(topics []room.Topic) error {
	slices.Sort(topics)
	c.note("unsubscribe %v", topics)
	return nil
}

func (c *conn) Publish(batch []link.Message) (int, error) {
	for _, m := range batch {
		c.note("publish %s", m.Data)
		if string(m.Data) == "breaks" {
			return 0, errBroken
		}
	}
	return 0, nil
}

func (c *conn) MaxMessage() int      { return 100 }
func (c *conn) Broken() <-chan error { return c.broken }
func (c *conn) Close()               { c.closing.Do(func() { close(c.closed) }) }

type ear struct {
	mu   sync.Mutex
	told []string
}

func (e *ear) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, fmt.Sprintf(format, args...))
}

func (e *ear) Received(topic room.Topic, m []byte) { e.note("%s on %s", m, topic) }
func (e *ear) Subscribed(topic room.Topic)         { e.note("subscribed %s", topic) }
func (e *ear) Up()                                 { e.note("up") }
func (e *ear) Down(reason error)                   { e.note("down: %v", reason) }
func (e *ear) Missed(n int)                        { e.note("missed %d", n) }

// expect waits until nothing moves, and compares.
func expect(t *testing.T, what string, got func() []string, want ...string) {
	t.Helper()
	synctest.Wait()
	if g := got(); !slices.Equal(g, want) {
		t.Fatalf("%s:\n%q, not\n%q", what, g, want)
	}
}

func (e *ear) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.told)
}

func run(t *testing.T, s *script, o room.BusOptions, do func(t *testing.T, l *link.Link, e *ear)) {
	synctest.Test(t, func(t *testing.T) {
		l, e := link.New(s, o), &ear{}
		do(t, l, e)
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Up and Subscribed are told when the server has confirmed, and not before.
func TestToldOnceConfirmed(t *testing.T) {
	s := &script{}
	run(t, s, room.BusOptions{}, func(t *testing.T, l *link.Link, e *ear) {
		l.Subscribe("a")
		l.Subscribe("b")
		l.Unsubscribe("b")
		l.Start(e)
		expect(t, "asked", s.asked, "subscribe [a]")
		expect(t, "told before the server confirmed", e.all)
		s.last().answer <- nil
		expect(t, "told after it", e.all, "subscribed a", "up")

		l.Subscribe("c")
		expect(t, "told before the server confirmed", e.all, "subscribed a", "up")
		l.Unsubscribe("a")
		l.Unsubscribe("c") // while it is being subscribed
		l.Subscribe("c")
		s.last().answer <- nil
		expect(t, "told after it", e.all, "subscribed a", "up", "subscribed c")
		expect(t, "asked", s.last().noted, "subscribe [a]", "subscribe [c]", "unsubscribe [a]")

		s.last().broken <- errBroken
		expect(t, "told of the loss", e.all, "subscribed a", "up", "subscribed c", "down: it broke")
		l.Subscribe("d")
		time.Sleep(time.Minute)
		expect(t, "asked again", s.last().noted, "subscribe [c d]")
		s.last().answer <- nil
		expect(t, "told then", e.all, "subscribed a", "up", "subscribed c", "down: it broke", "subscribed d", "up")
	})
}

// A connection that breaks while it is set up, or by a publish, or that never comes, is told once until it works.
func TestLosses(t *testing.T) {
	s := &script{fails: 3}
	run(t, s, room.BusOptions{}, func(t *testing.T, l *link.Link, e *ear) {
		l.Subscribe("a")
		l.Start(e)
		time.Sleep(time.Minute)
		expect(t, "told", e.all, "down: nobody is there")
		for n, pause := range pauses(s.dials) {
			most := min(50*time.Millisecond<<n, time.Second)
			if pause < most/2 || pause > most {
				t.Errorf("attempt %d came after %v, of at most %v", n+1, pause, most)
			}
		}
		s.last().answer <- errBroken
		time.Sleep(time.Minute)
		expect(t, "told", e.all, "down: nobody is there")
		if err := l.Publish("a", []byte("too early")); err != nil {
			t.Error(err)
		}
		s.last().answer <- nil
		expect(t, "told", e.all, "down: nobody is there", "subscribed a", "up")
		for _, m := range []string{"one", "breaks"} {
			if err := l.Publish("a", []byte(m)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		expect(t, "told", e.all, "down: nobody is there", "subscribed a", "up", "down: it broke")
		expect(t, "asked", s.last().noted, "subscribe [a]", "publish one", "publish breaks")
		if got := l.Stats(); got != (room.BusStats{Topics: 1, Published: 1, Dropped: 2, Lost: 2}) {
			t.Errorf("the stats are %+v", got)
		}
	})
}

func pauses(at []time.Time) []time.Duration {
	var p []time.Duration
	for n := 1; n < len(at); n++ {
		p = append(p, at[n].Sub(at[n-1]))
	}
	return p
}

// What the server takes is the limit from the first connection on, and the bus's own before.
func TestLimit(t *testing.T) {
	s := &script{}
	run(t, s, room.BusOptions{}, func(t *testing.T, l *link.Link, e *ear) {
		var refused *room.Error
		if err := l.Publish("a", make([]byte, room.MaxBusMessage+1)); !errors.As(err, &refused) || refused.Limit != room.MaxBusMessage {
			t.Errorf("above the bus's limit: %v", err)
		}
		if err := l.Publish("a", make([]byte, 101)); err != nil {
			t.Error(err)
		}
		l.Start(e)
		expect(t, "told", e.all, "up")
		if err := l.Publish("a", make([]byte, 101)); !errors.As(err, &refused) || refused.Limit != 100 {
			t.Errorf("above the server's limit: %v", err)
		}
	})
}

// stuck is a receiver that stays in its first call until it is let go.
type stuck struct {
	ear
	let chan struct{}
}

func (s *stuck) Received(topic room.Topic, m []byte) {
	<-s.let
	s.ear.Received(topic, m)
}

// What a slow receiver misses is told where it is missing, and what is no message is never dropped.
func TestMissedInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &stuck{let: make(chan struct{})}
		in := link.NewInbox(r, 250) // three small messages
		in.Up()
		in.Received("t", []byte("1")) // taken at once, and stuck
		synctest.Wait()
		for _, m := range []string{"2", "3", "4", "5"} {
			in.Received("t", []byte(m))
		}
		in.Subscribed("x")
		in.Received("t", []byte("6"))
		in.Missed(10)
		in.Down(errBroken)
		in.Down(errBroken)
		in.Up()
		close(r.let)
		synctest.Wait()
		in.Received("t", []byte("7"))
		expect(t, "told", r.all, "up", "1 on t", "2 on t", "3 on t", "4 on t", "missed 1", "subscribed x", "missed 11", "down: it broke", "up", "7 on t")
		<-in.Stop()
		in.Received("t", []byte("8"))
		in.Down(errBroken)
		expect(t, "told after the end", r.all, "up", "1 on t", "2 on t", "3 on t", "4 on t", "missed 1", "subscribed x", "missed 11", "down: it broke", "up", "7 on t")
	})
}
