package room_test

import (
	"fmt"
	"strings"
	"testing"

	"roomlog/server/room"
)

// STATE-1: what a state event may hold, and how it is read. The order and the text of what was sent stay.
func TestStateIsRead(t *testing.T) {
	send := room.Send{Type: room.TypeState, Data: []byte(`{"b":{"x":1.0},"a":null,"é\"":"\u00e9"}`), State: &room.StateSet{If: true, Seq: 7, Keys: 3}}
	if err := send.Mean(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range send.State.Changes {
		got = append(got, fmt.Sprintf("%s=%s(%v)", c.Key, c.Value, c.Value == nil))
	}
	if want := `b={"x":1.0}(false) a=(true) é"="\u00e9"(false)`; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if s := send.State; !s.If || s.Seq != 7 || s.Keys != 3 {
		t.Errorf("the terms are %+v", s)
	}
	if keys, bytes := send.State.Bounds(); keys != 3 || bytes != room.StateBytes {
		t.Errorf("STATE-6: bounds %d, %d", keys, bytes)
	}
	if send.Type = "message"; send.Mean() != nil || send.State != nil {
		t.Error("a message changes no map")
	}
	if e := (room.Event{Type: room.TypeState, Data: []byte(`{"a":1}`)}); len(e.StateOf()) != 1 {
		t.Error("an event is not read as it was sent")
	}
}

// Walk is compared with stores in storetest; here its edges: a log that begins or ends with state, and none but state.
func TestWalk(t *testing.T) {
	all := []room.Run{{First: 3, Last: 5}, {First: 9, Last: 9}}
	runs := func(at room.Seq, down bool, n int) (some []room.Run, _ error) {
		for _, r := range all {
			if !down && r.Last > at || down && r.First <= at {
				some = append(some, r)
			}
		}
		if down {
			for i, j := 0, len(some)-1; i < j; i, j = i+1, j-1 {
				some[i], some[j] = some[j], some[i]
			}
		}
		return some[:min(n, len(some))], nil
	}
	for _, c := range []struct {
		q    room.Query
		want string
	}{
		{room.Query{Anchor: room.After, Limit: 10}, "(0,12] [{3 5} {9 9}]"},
		{room.Query{Anchor: room.After, Limit: 2}, "(0,4] [{3 4}]"},
		{room.Query{Anchor: room.After, Seq: 4, Limit: 1}, "(4,5] [{5 5}]"},
		{room.Query{Anchor: room.After, Seq: 9, Limit: 1}, "(9,12] []"},
		{room.Query{Anchor: room.After, Seq: 99, Limit: 1}, "(12,12] []"},
		{room.Query{Anchor: room.After, Seq: 4}, "(4,12] []"},
		{room.Query{Anchor: room.Latest, Limit: 2}, "(4,12] [{5 5} {9 9}]"},
		{room.Query{Anchor: room.Latest, Limit: 4}, "(2,12] [{3 5} {9 9}]"},
		{room.Query{Anchor: room.Latest, Limit: 5}, "(0,12] [{3 5} {9 9}]"},
		{room.Query{Anchor: room.Latest, Limit: 5, Bottom: 5}, "(4,12] [{5 5} {9 9}]"},
		{room.Query{Anchor: room.Latest}, "(12,12] []"},
		{room.Query{Anchor: room.Before, Seq: 9, Limit: 2}, "(3,8] [{4 5}]"},
		{room.Query{Anchor: room.Before, Seq: 1, Limit: 2}, "(0,0] []"},
		{room.Query{Anchor: room.Around, Seq: 5, Limit: 2}, "(3,5] [{4 5}]"},
		{room.Query{Anchor: room.Around, Seq: 7, Limit: 10}, "(0,12] [{3 5} {9 9}]"},
	} {
		w, err := c.q.Walk(1, 12, runs)
		if got := fmt.Sprintf("(%d,%d] %v", w.Prev, w.End, w.Runs); err != nil || got != c.want {
			t.Errorf("STATE-12: %+v: %s, %v, want %s", c.q, got, err, c.want)
		}
	}
}
