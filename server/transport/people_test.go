package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/presence"
	"roomlog/server/room"
	"roomlog/server/signals"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// company of a server with presence and signals, as package app joins them.
type people struct {
	h        *hub.Hub
	presence *presence.Presence
	signals  *signals.Signals
}

func (p *people) Came(id room.ID, g *hub.Guest) {
	if g.Present {
		p.presence.Came(id, g, presence.Guest{Connection: g.Connection, User: g.User, Data: g.Data})
	}
	p.signals.Came(id, g, g.Connection, g.User)
}

func (p *people) Went(id room.ID, g *hub.Guest) {
	p.presence.Went(id, g, g.Connection)
	p.signals.Went(id, g, g.Connection)
}

// startPeople is a server that has them.
func startPeople(t *testing.T, kinds map[string]room.Policy) *fixture {
	t.Helper()
	return startPeopleAnd(t, kinds, func(*hub.Config) {}, func(*Config) {})
}

// startPeopleAnd is a server that has more than that.
func startPeopleAnd(t *testing.T, kinds map[string]room.Policy, moreHub func(*hub.Config), more func(*Config)) *fixture {
	t.Helper()
	all := room.NewKinds(kinds)
	p := &people{}
	p.presence = presence.New(presence.Config{
		Policy: func(id room.ID) room.Show { policy, _ := all.Policy(id.Kind()); return policy.Presence },
		Show: func(id room.ID, u presence.Update) {
			out := hub.SideUpdate{Whole: u.Whole, About: u.About, Every: u.Every}
			for _, v := range u.Set {
				out.Set = append(out.Set, hub.SideEntry{Key: v.User, Value: v.JSON})
			}
			p.h.SetSide(id, hub.SidePresence, out)
		},
	})
	p.signals = signals.New(signals.Config{PerSecond: 6, Show: func(id room.ID, u signals.Update) { // few, so that a slow flood is one too
		out := hub.SideUpdate{Whole: u.Whole}
		for _, v := range u.Set {
			out.Set = append(out.Set, hub.SideEntry{Key: v.Key, Value: v.JSON})
		}
		p.h.SetSide(id, hub.SideSignals, out)
	}})
	f := start(t, options{
		hub: func(c *hub.Config) {
			c.Company = p
			c.Beside[hub.SidePresence], c.Beside[hub.SideSignals] = p.presence, p.signals
			moreHub(c)
		},
		server: func(c *Config) {
			c.Kinds, c.Presence, c.Signals, p.h = all, p.presence, p.signals, c.Hub
			c.Seen = c.Access.(room.SeenStore)
			more(c)
		},
	})
	p.presence.Start()
	p.signals.Start()
	t.Cleanup(func() {
		must(t, p.presence.Stop(context.Background()))
		must(t, p.signals.Stop(context.Background()))
	})
	return f
}

// until reads frames until one of an op holds a text.
func (p *peer) until(op, text string) {
	p.t.Helper()
	for {
		if m := p.object(); m["op"] == op && strings.Contains(fmt.Sprint(m), text) {
			return
		}
	}
}

// A member list beside the join, changes after it, over sockets and streams; HTTP has the same (PRES-1, PRES-3, PRES-8, PRES-13 to PRES-15).
func TestPresence(t *testing.T) {
	f := startPeople(t, map[string]room.Policy{"chat": {}, "quiet": {Presence: room.ShowNone, NoSignals: true}})
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a","with":["presence"],"presence":{"name":"Mira"}}`)
	p.expect("joined")
	p.until("presence", "data:map[name:Mira]")
	hidden := f.login("u2")
	hidden.sendf(`{"op":"join","id":1,"room":"chat:a","with":["presence"],"present":false}`)
	hidden.expect("joined")
	hidden.until("presence", "user:u1")
	l := f.listen("/v1/sse?room=chat:a&with=presence", f.token("u3"))
	ready := l.event()
	p.until("presence", "user:u3")
	if a := f.command(ready, `{"op":"presence","id":4,"room":"chat:a","idle":true,"data":{"name":"Noor"}}`); a.status != 200 {
		t.Error(a.status, a.text)
	}
	hidden.until("presence", "name:Noor")

	a := f.request("GET", "/v1/rooms/chat:a/presence?limit=1", f.token("u2"), "")
	if a.status != 200 || !strings.HasPrefix(a.text, `{"room":"chat:a","users":2,"connections":2,"members":[{"user":"u1","idle":false,"since":"`) ||
		!strings.HasSuffix(a.text, `"data":{"name":"Mira"}}],"next":"u1"}`) {
		t.Error(a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/chat:a/presence?after=u1", f.token("u2"), ""); !strings.Contains(a.text, `"user":"u3","idle":true`) {
		t.Error(a.status, a.text)
	}
	other := f.token("u9", auth.Grant{Rooms: "chat:b", Can: []auth.Action{auth.Read}})
	if a := f.request("GET", "/v1/rooms/chat:a/presence", other, ""); a.status != 404 || strings.Contains(a.text, "Mira") {
		t.Error(a.status, a.text)
	}
	for frame, want := range map[string]room.Code{
		`{"op":"presence","id":9,"room":"chat:b","idle":true}`:                                               room.CodeBadRequest,
		`{"op":"presence","id":9,"room":"quiet:a","idle":true}`:                                              room.CodeForbidden,
		`{"op":"presence","id":9,"room":"chat:a","data":[]}`:                                                 room.CodeBadData,
		`{"op":"join","id":9,"room":"chat:b","presence":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}}`: room.CodeLimitExceeded,
	} {
		p.sendf("%s", frame)
		p.until("error", "code:"+string(want))
	}
}

// Who is online is told to who may see them, and to nobody else (PRES-17).
func TestUsersPresence(t *testing.T) {
	f := startPeople(t, map[string]room.Policy{"chat": {}, "mass": {Presence: room.ShowCounts}})
	for user, id := range map[string]string{"u1": "chat:a", "u2": "mass:a", "u3": "chat:b"} {
		p := f.login(user)
		p.sendf(`{"op":"join","id":1,"room":"%s","with":["presence"]}`, id)
		p.expect("joined")
		p.until("presence", "users:1")
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	must(t, f.store.PutSeen(t.Context(), []room.LastSeen{{User: "u1", At: at, Until: at}, {User: "u2", At: at, Until: at}, {User: "u4", At: at, Until: at}, {User: "u9", At: at, Until: at.Add(time.Hour)}}))
	may := func(rooms string, can ...auth.Action) string {
		return f.token("u9", auth.Grant{Rooms: rooms, Can: can})
	}
	seen := `,"last_seen":"` + wire.Time(at) + `"`
	const path = "/v1/users/presence?user=u1&user=u2&user=u3&user=u4&user=u9"
	answer := func(flags string) string {
		var all []string
		for i, user := range []string{"u1", "u2", "u3", "u4", "u9"} {
			one := map[byte]string{'-': `false`, 'o': `true`, 's': `true` + seen, 'l': `false` + seen}[flags[i]]
			all = append(all, `{"user":"`+user+`","online":`+one+`}`)
		}
		return `{"users":[` + strings.Join(all, ",") + `]}`
	}
	for _, c := range []struct{ token, flags string }{
		{may("*", auth.Read, auth.Admin), "ssols"},
		{may("chat:a", auth.Read), "s---s"},
		{may("*", auth.Read), "s-o-s"},
		{may("mass:a", auth.Read), "----s"},
		{may("chat:b", auth.Send), "----s"},
	} {
		if a := f.request("GET", path, c.token, ""); a.status != 200 || a.text != answer(c.flags) {
			t.Errorf("%s: %d %s", c.flags, a.status, a.text)
		}
	}
	if a := f.request("GET", "/v1/users/presence?"+strings.Repeat("user=a&", 101), f.token("u1"), ""); a.code() != "limit_exceeded" {
		t.Error(a.status, a.text)
	}
	if a := f.request("GET", "/v1/users/presence", f.token("u1"), ""); a.code() != "bad_request" {
		t.Error(a.status, a.text)
	}
}

// While it is not known which nodes live, the answer of who is online says so (PRES-17).
func TestUsersPresenceIsStale(t *testing.T) {
	alone := presence.New(presence.Config{ // it never holds a lease
		Node: "a", Leases: struct{ room.Leases }{}, Say: func(room.ID, []byte) {}, Ask: func([]byte) {},
	})
	f := startPeopleAnd(t, map[string]room.Policy{"chat": {}}, func(*hub.Config) {}, func(c *Config) { c.Presence = alone })
	if a := f.request("GET", "/v1/users/presence?user=u1", f.token("u1"), ""); a.status != 200 || a.text != `{"users":[{"user":"u1","online":false}],"stale":true}` {
		t.Error(a.status, a.text)
	}
}

// Signals need the grant to send, and typing ends with a send (SIG-1, SIG-4, SIG-6).
func TestSignals(t *testing.T) {
	f := startPeople(t, map[string]room.Policy{"chat": {}, "quiet": {NoSignals: true}})
	p, q := f.login("u1"), f.login("u2")
	for _, one := range []*peer{p, q} {
		one.sendf(`{"op":"join","id":1,"room":"chat:a","with":["signals"]}`)
		one.expect("joined")
	}
	p.sendf(`{"op":"signal","id":5,"room":"chat:a","type":"typing","data":true}`)
	p.until("done", "5")
	q.until("signals", "type:typing")
	p.sendf(`{"op":"send","n":1,"room":"chat:a","tag":"%s","type":"message","data":1}`, tagOf(1))
	q.until("signals", "gone:[")
	p.sendf(`{"op":"signal","room":"chat:a","type":"cursor","key":"pen","data":{"x":1}}`)
	q.until("signals", "data:map[x:1]")
	must(t, p.nc.Close())
	q.until("signals", "cursor pen]")
	for frame, want := range map[string]room.Code{
		`{"op":"signal","id":9,"room":"chat:b","type":"cursor","data":1}`:  room.CodeBadRequest,
		`{"op":"signal","id":9,"room":"quiet:a","type":"cursor","data":1}`: room.CodeForbidden,
		`{"op":"signal","id":9,"room":"chat:a","type":"","data":1}`:        room.CodeBadType,
	} {
		q.sendf("%s", frame)
		q.until("error", "code:"+string(want))
	}
	reader := f.login("u3", auth.Grant{Rooms: "chat:a", Can: []auth.Action{auth.Read}})
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["signals"]}`)
	reader.expect("joined")
	reader.sendf(`{"op":"signal","id":9,"room":"chat:a","type":"cursor","data":1}`)
	reader.until("error", "code:forbidden")
}
