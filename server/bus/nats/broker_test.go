package nats_test

import (
	"fmt"
	"testing"

	"roomlog/chaos"
	"roomlog/server/room"
)

// The fault proxy knows the messages of a real server: what it drops is lost, what it repeats comes twice, the
// connection stays, and exactly the last message before silence can be taken away.
func TestBrokenMessages(t *testing.T) {
	s := serve(t)
	broker, err := chaos.ListenBroker("127.0.0.1:0", s.Address(), chaos.NATS, 1)
	no(t, err)
	t.Cleanup(func() { no(t, broker.Close()) })
	bus, e := start(t, "nats://"+broker.Addr().String(), "room:a:b")
	next(t, e.up)
	say := func(topic room.Topic, text string) { no(t, bus.Publish(topic, []byte(text))) }
	hear := func(want string) {
		t.Helper()
		if got := next(t, e.messages); got != want {
			t.Fatalf("received %q, want %q", got, want)
		}
	}
	no(t, broker.SetMessages(chaos.Messages{Subject: "room:", Drop: 0.5, Repeat: 0.5}))
	const sent = 100
	heard := 0
	for n := range sent {
		say("room:a:b", fmt.Sprint(n))
	}
	say(room.ClusterTopic, "end")
	for got := next(t, e.messages); got != "end"; got = next(t, e.messages) {
		heard++
	}
	c := broker.Counts()
	if c.Dropped == 0 || c.Repeated == 0 || c.Dropped+c.Repeated != sent || int64(heard) != 2*c.Repeated || c.Unread != 0 {
		t.Fatalf("heard %d, counted %+v", heard, c)
	}
	broker.Heal()

	broker.KeepLast("room:")
	say("room:a:b", "1")
	say("room:a:b", "2")
	say(room.ClusterTopic, "end")
	hear("1")
	hear("end")
	if n := broker.DropKept(); n != 1 {
		t.Errorf("%d were dropped, want 1", n)
	}
	say("room:a:b", "3")
	hear("3")
	if s := bus.Stats(); s.Lost != 0 {
		t.Errorf("the connection broke: %+v", s)
	}
}
