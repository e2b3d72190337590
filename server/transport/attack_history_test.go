package transport

import (
	"fmt"
	"testing"
)

// MEM-6, MEM-7: who was no member for a while, and takes no bytes meanwhile, is not given what was said then: who began anew begins anew, on a
// connection that was there before as well.
func TestWhoBeganAnewIsNotGivenWhatWasBetween(t *testing.T) {
	f := club(t, options{})
	const id = "past:a"
	f.enroll(id, "ann", "owner")
	f.enroll(id, "ben", "member") // seq 2
	p := f.login("ben")
	p.sendf(`{"op":"join","room":%q}`, id)
	p.expect("joined")
	// The peer takes nothing: what is on its way fills the pipe, and its cursor stands still.
	text := make([]byte, 60<<10)
	for i := range text {
		text[i] = 'x'
	}
	n := 0
	eventually(t, "the peer is full", func() bool {
		f.post("ann", id, n, fmt.Sprintf(`{"filler":%q}`, text), 201)
		n++
		return f.hub.Stats().Stalls > 0 && n%8 == 0
	})
	for range 8 {
		f.post("ann", id, n, fmt.Sprintf(`{"filler":%q}`, text), 201)
		n++
	}
	if a := f.request("DELETE", "/v1/rooms/"+id+"/members/ben", clubKey, ""); a.status != 204 {
		t.Fatal(a.text)
	}
	f.post("ann", id, 100000, `{"text":"canary"}`, 201)
	f.enroll(id, "ben", "member")
	if a := f.request("GET", "/v1/rooms/"+id, f.token("ben"), ""); a.status != 200 { // what this node knows of ben is read again
		t.Fatal(a.text)
	}
	for {
		m := p.object()
		if m["op"] == "reset" || m["op"] == "error" {
			return
		}
		events, _ := m["events"].([]any)
		for _, e := range events {
			if data, _ := e.(map[string]any)["data"].(map[string]any); data["text"] == "canary" {
				t.Fatal("MEM-6: what was said while ben was no member is given to ben")
			}
		}
	}
}
