package transport

import (
	"encoding/json"
	"testing"

	"roomlog/server/ysync"
)

// YWS-7: whose an id is, as one connection sees it.
func TestCarets(t *testing.T) {
	c := newCarets("main")
	c.connection = "me"
	state := json.RawMessage(`{"x":1}`)
	value := func(connection, user, key, clock string) json.RawMessage {
		return json.RawMessage(`{"user":"` + user + `","connection":"` + connection + `","type":"awareness","key":"` + key +
			`","data":{"doc":"main","clock":` + clock + `,"state":{"x":1}}}`)
	}
	says := func(name string, want int, entries ...ysync.Entry) {
		t.Helper()
		if got := c.own("pad:a", "ada", entries); len(got) != want {
			t.Errorf("%s: %v, want %d signals", name, got, want)
		}
	}
	shown := func(name string, set []json.RawMessage, gone []string, full bool, want ...ysync.Entry) {
		t.Helper()
		got := c.shown(set, gone, full)
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", name, got, want)
		}
		for i, e := range got {
			if e.Client != want[i].Client || e.Clock != want[i].Clock || (e.State == nil) != (want[i].State == nil) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
	says("its own", 1, ysync.Entry{Client: 1, Clock: 1, State: state})
	says("the end of what it never said", 0, ysync.Entry{Client: 9, Clock: 1})
	shown("another's", []json.RawMessage{value("b", "ben", "5", "3")}, nil, true, ysync.Entry{Client: 5, Clock: 3, State: state})
	says("what it heard", 0, ysync.Entry{Client: 5, Clock: 3, State: state})
	says("another user's id", 0, ysync.Entry{Client: 5, Clock: 99, State: state})
	shown("a thief of another's and of mine", []json.RawMessage{value("x", "eve", "5", "9"), value("x", "eve", "1", "9")}, nil, false)
	shown("what is no entry", []json.RawMessage{value("b", "ben", "-1", "1"), value("b", "ben", "7", `"x"`), json.RawMessage(`{"type":"typing"}`)}, nil, false)
	shown("not its end", nil, []string{"x awareness 5", "nonsense"}, false)
	shown("its end", nil, []string{"b awareness 5"}, false, ysync.Entry{Client: 5, Clock: 4})
	says("a late echo of who is gone", 0, ysync.Entry{Client: 5, Clock: 3, State: state})
	shown("back with the same clock, which has to rise", []json.RawMessage{value("b2", "ben", "5", "3")}, nil, false, ysync.Entry{Client: 5, Clock: 5, State: state})
	shown("and goes on rising", []json.RawMessage{value("b2", "ben", "5", "4")}, nil, false, ysync.Entry{Client: 5, Clock: 6, State: state})
	shown("all there is, without it", nil, nil, true, ysync.Entry{Client: 5, Clock: 7})
	shown("my own from before", []json.RawMessage{value("old", "ada", "8", "3")}, nil, false, ysync.Entry{Client: 8, Clock: 3, State: state})
	says("taken over by the same user", 1, ysync.Entry{Client: 8, Clock: 4, State: state})
	shown("the old one's end is not mine", nil, []string{"old awareness 8"}, false)
	says("its end", 1, ysync.Entry{Client: 1, Clock: 1})
}
