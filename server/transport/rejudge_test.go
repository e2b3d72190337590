package transport

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"roomlog/server/room"
)

// I17, MEM-4, ROOM-3: kinds that are taken anew hold for who is there: rooms that become their members' are given to nobody else, and those of a
// kind that is no more to nobody.
func TestKindsThatChangeHoldForWhoIsThere(t *testing.T) {
	f := club(t, options{})
	const id, other = "chat:a", "chat:b"
	for _, name := range []string{id, other} {
		f.enroll(name, "ben", "member")
	}
	var ann, ben *peer
	for user, p := range map[string]**peer{"ann": &ann, "ben": &ben} {
		*p = f.login(user)
		for _, name := range []string{id, other} {
			(*p).sendf(`{"op":"join","room":%q}`, name)
			(*p).expect("joined")
		}
	}
	l := f.listen("/v1/sse?room="+id, f.token("ann"))
	l.event() // ready
	f.srv.cfg.Kinds.Replace(map[string]room.Policy{"chat": {Members: true}})
	f.srv.Rejudge(t.Context())
	f.request("POST", "/v1/rooms/"+id+"/events", clubKey, fmt.Sprintf(`{"tag":%q,"type":"message","data":"canary"}`, tagOf(1)))
	until(ben, "a member stays", func(m map[string]any) bool { return strings.Contains(fmt.Sprint(m), "canary") })
	for left := 2; left > 0; left-- {
		if m := ann.object(); m["op"] != "error" || m["code"] != string(room.CodeUnknownRoom) {
			t.Fatalf("MEM-4: who is no member is given %v", m)
		}
	}
	if rest, _ := io.ReadAll(l.br); strings.Contains(string(rest), "canary") {
		t.Errorf("MEM-4: a stream of who is no member has %s", rest)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	f.srv.cfg.Kinds.Replace(map[string]room.Policy{"club": {}})
	f.srv.Rejudge(gone) // nothing is asked about a kind that is not there
	for left := 2; left > 0; left-- {
		if m := ben.object(); m["op"] != "error" || m["code"] != string(room.CodeUnknownRoom) {
			t.Fatalf("ROOM-3: of a kind that is no more somebody is given %v", m)
		}
	}
}
