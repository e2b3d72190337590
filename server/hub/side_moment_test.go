package hub

import (
	"fmt"
	"testing"

	"roomlog/server/wire"
)

// A frame is of one moment: what it says of all values, such as their number or digest, is so of those that it leaves a reader with,
// also where something changed between the tick and the reader's turn (SIDE-3, PRES-5).
func TestSideFramesAreOfOneMoment(t *testing.T) {
	s := newSide(0)
	have, n := make(map[string]bool), 0
	set := func(key string) {
		have[key] = true
		n++
		s.set(SideUpdate{Set: []SideEntry{sideValue{key, n}.entry()}, About: fmt.Appendf(nil, `"users":%d`, len(have))})
	}
	reader := sideCopy{}
	give := func() {
		t.Helper()
		text, _ := s.frame(wire.WebSocket, "chat:a", "presence", reader.version)
		if text == nil {
			return
		}
		f, _, ok, err := cut(wire.WebSocket, text)
		if err == nil && ok {
			err = reader.take(f)
		}
		if err != nil || !ok {
			t.Fatalf("%s: %v", text, err)
		}
		if reader.users != len(reader.values) {
			t.Errorf("at version %d the reader has %d values, and is told that there are %d", reader.version, len(reader.values), reader.users)
		}
	}
	set("a")
	s.shown = s.version
	give()
	set("b")
	s.shown = s.version
	set("b") // before the reader's turn
	set("c")
	give()
	s.shown = s.version
	give()
	if len(reader.values) != 3 {
		t.Errorf("the reader has %v", reader.values)
	}
}
