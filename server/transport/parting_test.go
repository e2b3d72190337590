package transport

import (
	"testing"

	"roomlog/server/room"
)

// CLOSE-10 for who says hello, or asks for something, while the server stops: they too are told when to come back.
// Found by the torture runs, in which those who had been cut off came back together.
func TestWhoComesWhileTheServerStopsIsToldWhenToComeBack(t *testing.T) {
	f := start(t, options{})
	stranger := f.dial()
	if err := f.hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	m := stranger.expectError(room.CodeGoingAway)
	if ms, _ := m["retry_after_ms"].(float64); ms < 1 || ms > 1001 {
		t.Errorf("told to come back in %v ms", m["retry_after_ms"])
	}
	if reason := stranger.expectClose(1012); reason != "going_away" {
		t.Errorf("reason %q", reason)
	}
}
