package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"roomlog/server/hub"
	"roomlog/server/receipts"
	"roomlog/server/room"
	"roomlog/server/store/sqlite"
)

// whole starts a server that keeps members, presence, signals, receipts and search.
func whole(t *testing.T, kinds map[string]room.Policy) *fixture {
	t.Helper()
	var desk *receipts.Desk
	all := room.NewKinds(kinds)
	f := startPeopleAnd(t, kinds, func(c *hub.Config) {
		desk = receipts.New(receipts.Config{Store: c.Store.(room.Receipts), Kinds: all})
		c.Beside[hub.SideReceipts] = desk
	}, func(c *Config) {
		store := c.Rooms.(*sqlite.Store)
		c.Receipts, c.Members, c.Overviews, c.Search = kept{desk, store}, store, store, store
		c.Services = append(c.Services, clubService(t))
	})
	desk.Start(f.hub)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		desk.Stop(ctx)
	})
	return f
}

// I26, ERR-7: whatever is put into frames and requests beside the log is answered by an error that says what is wrong, never by one of the server,
// and the connection goes on.
func TestOddInputBesideTheLog(t *testing.T) {
	f := whole(t, nil)
	const id = "chat:a"
	f.post("ann", id, 1, `{"text":"hello"}`, 201)
	odd := []string{
		`null`, `true`, `-1`, `0`, `1.5`, `1e3`, `1e999`, `9007199254740992`, `18446744073709551616`, `""`, `"x"`, `"\u0000"`, `"\ud800"`, `"𝕏\u202e"`, `[]`, `[null]`, `[[]]`, `{}`,
		`{"__proto__":{"a":1},"constructor":null}`, `{"a":"\u0000"}`, `"` + strings.Repeat("x", 70) + `"`, strings.Repeat("[", 300) + strings.Repeat("]", 300),
	}
	n := 0
	for _, frame := range []string{
		`"op":"presence","room":"chat:a","data":%s`, `"op":"presence","room":"chat:a","idle":%s`, `"op":"presence","room":%s,"data":{}`,
		`"op":"signal","room":"chat:a","type":"cursor","key":"","data":%s`, `"op":"signal","room":"chat:a","type":%s,"data":1`, `"op":"signal","room":"chat:a","type":"cursor","key":%s,"data":1`,
		`"op":"read","room":"chat:a","read":%s`, `"op":"read","room":"chat:a","delivered":%s`, `"op":"read","room":%s,"read":1`,
		`"op":"sync","room":"chat:a","side":%s`, `"op":"join","room":"chat:b","with":%s`, `"op":"join","room":"chat:b","present":%s`, `"op":"join","room":"chat:b","presence":%s`,
		`"op":"me","room":%s`,
	} {
		p := f.login("ann") // each has a rate of its own
		p.sendf(`{"op":"join","room":%q,"with":["presence","receipts","signals"],"presence":{"a":1}}`, id)
		for _, value := range odd {
			n++
			text := fmt.Sprintf(`{"id":%d,`+frame+`}`, n, value)
			p.sendf("%s", text)
			for {
				m := p.object()
				if m["op"] == "ping" {
					p.sendf(`{"op":"pong"}`)
				}
				if got, is := m["id"].(float64); !is || got != float64(n) {
					continue
				}
				if m["code"] == string(room.CodeInternal) || m["code"] == string(room.CodeUnavailable) {
					t.Errorf("%s is answered by %v", text, m)
				}
				break
			}
		}
	}
	for _, value := range odd {
		for _, body := range []string{
			`{"tag":"%TAG","type":"edit","data":{"target":%s,"data":1}}`, `{"tag":"%TAG","type":"edit","data":{"target":1,"data":%s}}`, `{"tag":"%TAG","type":"delete","data":%s}`, `{"tag":"%TAG","type":"delete","data":{"target":%s}}`,
			`{"tag":"%TAG","type":"reaction","data":{"target":1,"emoji":%s}}`, `{"tag":"%TAG","type":"reaction","data":{"target":1,"emoji":"x","remove":%s}}`,
			`{"tag":"%TAG","type":"member","data":{"user":%s,"role":"member"}}`, `{"tag":"%TAG","type":"member","data":{"user":"ben","role":%s}}`,
			`{"tag":"%TAG","type":"message","data":{"mentions":%s}}`, `{"tag":"%TAG","type":"message","data":{"mentions":[%s]}}`,
		} {
			n++
			body = fmt.Sprintf(strings.ReplaceAll(body, "%TAG", tagOf(n)), value)
			a := f.request("POST", "/v1/rooms/chat:odd/events", f.token("ann"), body)
			b := f.request("POST", "/v1/rooms/chat:odd/events", f.token("ann"), `{"events":[`+body+`]}`)
			if a.status >= 500 || b.status >= 500 || strings.Contains(b.text, `"code":"internal"`) {
				t.Errorf("%s is answered by %d %s, %d %s", body, a.status, a.text, b.status, b.text)
			}
		}
		for _, body := range []string{`{"read":%s}`, `{"delivered":%s,"read":1}`, `%s`} {
			if a := f.request("PUT", "/v1/rooms/chat:a/receipt", f.token("ann"), fmt.Sprintf(body, value)); a.status >= 500 {
				t.Errorf("%s is answered by %d %s", body, a.status, a.text)
			}
		}
	}
	for _, path := range []string{
		"/v1/rooms/chat:a/receipts?seq=%s", "/v1/rooms/chat:a/members?after=%s", "/v1/rooms/chat:a/members/%s", "/v1/rooms/chat:a/presence?after=%s", "/v1/rooms/chat:a/presence?limit=%s",
		"/v1/users/presence?user=%s", "/v1/me/rooms?after=%s", "/v1/me/rooms?limit=%s", "/v1/rooms/chat:a/search?q=%s", "/v1/rooms/chat:a/search?q=x&before=%s", "/v1/me/search?q=%s", "/v1/rooms/chat:a/mutes?after=%s",
	} {
		for _, value := range []string{"", "%00", "%ff", "-1", "0", "1.5", "18446744073709551616", "%F0%9F%91%8D", "%22", "%22%22%22", "a%22*", "NEAR(a%20b)", "a%20OR%20b", "*", "%27", "words:x", "%ED%A0%80", strings.Repeat("x", 300)} {
			if a := f.request("GET", fmt.Sprintf(path, value), f.token("ann"), ""); a.status >= 500 {
				t.Errorf("%s is answered by %d %s", fmt.Sprintf(path, value), a.status, a.text)
			}
		}
	}
}
