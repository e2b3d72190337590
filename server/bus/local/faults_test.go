package local_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/bus/local"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
)

type ear struct {
	mu       sync.Mutex
	messages []string
}

func (e *ear) Received(_ room.Topic, message []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.messages = append(e.messages, string(message))
}
func (e *ear) Subscribed(room.Topic) {}
func (e *ear) Up()                   {}
func (e *ear) Down(error)            {}
func (e *ear) Missed(int)            {}

// faultyPair runs two nodes, a that sends and b that hears, and gives what b heard.
func faultyPair(t *testing.T, seed uint64, do func(f *bustest.Faults, a room.Bus)) []string {
	var heard []string
	synctest.Test(t, func(t *testing.T) {
		medium, faults := local.NewMedium(), bustest.NewFaults(seed)
		a := faults.Wrap("a", medium.Join("main", room.BusOptions{}))
		b := faults.Wrap("b", medium.Join("main", room.BusOptions{}))
		e := &ear{}
		a.Start(&ear{})
		b.Start(e)
		b.Subscribe(room.ClusterTopic)
		do(faults, a)
		time.Sleep(time.Hour) // of the bubble's clock: everything that is late has come
		synctest.Wait()
		for _, bus := range []room.Bus{a, b} {
			if err := bus.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		heard = e.messages
	})
	return heard
}

func say(t *testing.T, a room.Bus, from, to int) {
	for n := from; n < to; n++ {
		if err := a.Publish(room.ClusterTopic, []byte(fmt.Sprint(n))); err != nil {
			t.Error(err)
		}
	}
}

func TestFaults(t *testing.T) {
	rates := bustest.Rates{Drop: 0.2, Duplicate: 0.1, Delay: time.Second}
	all := func(f *bustest.Faults, a room.Bus) {
		f.Set(rates)
		say(t, a, 0, 1000)
	}
	heard := faultyPair(t, 7, all)
	count := map[string]int{}
	for _, m := range heard {
		count[m]++
	}
	twice := len(heard) - len(count)
	if lost := 1000 - len(count); lost < 150 || lost > 250 || twice < 50 || twice > 120 {
		t.Errorf("of 1000 messages %d were lost and %d repeated", lost, twice)
	}
	inOrder := slices.IsSortedFunc(heard, func(a, b string) int { return len(a) - len(b) })
	if inOrder {
		t.Error("no message passed another")
	}
	again, other := faultyPair(t, 7, all), faultyPair(t, 8, all)
	slices.Sort(heard) // two that come at the same instant have no order
	slices.Sort(again)
	slices.Sort(other)
	if !slices.Equal(heard, again) {
		t.Error("the same seed had other faults")
	}
	if slices.Equal(heard, other) {
		t.Error("another seed had the same faults")
	}
}

func TestDropLast(t *testing.T) {
	heard := faultyPair(t, 1, func(f *bustest.Faults, a room.Bus) {
		f.HoldLast()
		say(t, a, 0, 5)
		if lost := f.DropLast(); lost != 1 {
			t.Errorf("%d messages were lost", lost)
		}
	})
	if !slices.Equal(heard, []string{"0", "1", "2", "3"}) {
		t.Errorf("heard %v", heard)
	}
}

func TestPart(t *testing.T) {
	heard := faultyPair(t, 1, func(f *bustest.Faults, a room.Bus) {
		say(t, a, 0, 2)
		synctest.Wait()
		f.Part("b", "a")
		say(t, a, 2, 4)
		synctest.Wait()
		f.Heal()
		say(t, a, 4, 6)
	})
	if !slices.Equal(heard, []string{"0", "1", "4", "5"}) {
		t.Errorf("heard %v", heard)
	}
}
