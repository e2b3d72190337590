package transport

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// company notes who reads rooms, as the hub tells it.
type company struct {
	mu   sync.Mutex
	list []string
}

func (c *company) note(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, s)
}

func (c *company) Came(id room.ID, g *hub.Guest) {
	c.note(fmt.Sprintf("%s came to %s present=%v data=%s", g.User, id, g.Present, g.Data))
}

func (c *company) Went(id room.ID, g *hub.Guest) { c.note(g.User + " went") }

func (c *company) has(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprint(want), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Equal(c.list, want)
	})
}

var everySide = hub.SideUpdate{Set: []hub.SideEntry{{Key: "u9", Value: []byte(`{"user":"u9"}`)}}, About: []byte(`"users":1`)}

// SIDE-1, SIDE-2, SIDE-6, SIDE-7: sockets and streams are given the sides that they ask for and the kind shows, and no others.
func TestSidesAreGivenToThoseWhoAsk(t *testing.T) {
	seen := &company{}
	f := start(t, options{
		hub: func(c *hub.Config) { c.Company = seen },
		server: func(c *Config) {
			c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {}, "quiet": {Presence: room.ShowNone, NoSignals: true}})
		},
	})
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a","with":["presence","smell"],"presence":{"name":"Mira"}}`)
	p.expect("joined")
	p.sendf(`{"op":"join","id":2,"room":"quiet:a","with":["presence","signals","receipts"]}`)
	p.expect("joined")
	plain := f.login("u2")
	plain.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	plain.expect("joined")
	l := f.listen("/v1/sse?room=chat:a&with=presence,signals&present=false", f.token("u3"))
	ready := l.event()
	seen.has(t, `u1 came to chat:a present=true data={"name":"Mira"}`, `u1 came to quiet:a present=false data=`, `u3 came to chat:a present=false data=`)

	f.hub.SetSide("chat:a", hub.SidePresence, everySide)
	f.hub.SetSide("quiet:a", hub.SidePresence, everySide)
	full := map[string]any{"op": "presence", "room": "chat:a", "full": true, "version": 3.0, "users": 1.0, "set": []any{map[string]any{"user": "u9"}}}
	if m := p.expect("presence"); !reflect.DeepEqual(m, full) {
		t.Errorf("%v", m)
	}
	e := l.event()
	delete(full, "op")
	if e.name != "presence" || e.id != "" || !reflect.DeepEqual(e.data, full) {
		t.Errorf("%s", e.raw)
	}
	p.sendf(`{"op":"sync","id":7,"room":"chat:a","side":"presence"}`)
	if m := p.expect("done"); m["id"] != 7.0 {
		t.Error(m)
	}
	if m := p.expect("presence"); m["full"] != true {
		t.Error(m)
	}
	if a := f.command(ready, `{"op":"sync","id":8,"room":"chat:a","side":"presence"}`); a.status != 200 || a.text != `{"op":"done","id":8}` {
		t.Error(a.status, a.text)
	}
	if e := l.event(); e.data["full"] != true {
		t.Error(e.raw)
	}
	for frame, want := range map[string]room.Code{
		`{"op":"sync","id":9,"room":"chat:a","side":"smell"}`:                                                    room.CodeBadRequest,
		`{"op":"sync","id":9,"room":"board:a","side":"presence"}`:                                                room.CodeUnknownRoom,
		`{"op":"join","id":9,"room":"chat:b","with":["presence"],"presence":[1]}`:                                room.CodeBadData,
		fmt.Sprintf(`{"op":"join","id":9,"room":"chat:b","with":["presence"],"presence":{"a":"%01000000d"}}`, 1): room.CodeMessageTooLarge,
	} {
		p.sendf("%s", frame)
		p.expectError(want)
	}
	p.sendf(`{"op":"leave","room":"chat:a"}`)
	seen.has(t, `u1 came to chat:a present=true data={"name":"Mira"}`, `u1 came to quiet:a present=false data=`, `u3 came to chat:a present=false data=`, "u1 went")
	plain.sendf(`{"op":"ping"}`)
	plain.expect("pong") // and nothing before it
}

// PRES-15: a stream may be present in some of its rooms, and hidden in the others.
func TestStreamIsPresentInTheRoomsItNames(t *testing.T) {
	seen := &company{}
	f := start(t, options{
		hub:    func(c *hub.Config) { c.Company = seen },
		server: func(c *Config) { c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {}}) },
	})
	l := f.listen("/v1/sse?room=chat:a&room=chat:b&with=presence&present=chat:b,chat:c", f.token("u1"))
	l.event()
	seen.has(t, "u1 came to chat:a present=false data=", "u1 came to chat:b present=true data=")
	if a := f.request("GET", "/v1/sse?room=chat:a&present=perhaps", f.token("u1"), ""); a.status != 400 {
		t.Error(a.status)
	}
}

// SIDE-7: one connection says only so much beside the log.
func TestFramesBesideTheLogAreBounded(t *testing.T) {
	f := start(t, options{})
	p := f.login("u1")
	one := frame(0x81, []byte(`{"op":"sync","room":"chat:a","side":"presence"}`))
	p.write(bytes.Repeat(one, besideBurst+20*besidePerSecond)) // all of them within 20 s is more than is allowed
	p.expectError(room.CodeRateLimited)
}
