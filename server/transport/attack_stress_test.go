package transport

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"roomlog/server/room"
)

// I26: joins, leaves, marks, signals, members that come and go, rooms that are deleted, mutes, bans, edits and deletes at once, by peers of whom
// some take nothing: everything is answered, and nothing of the server's own goes wrong. It is for the race detector, and for locks that wait for each other.
func TestEverythingBesideTheLogAtOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := whole(t, map[string]room.Policy{"chat": {}, "past": {Members: true, HistorySince: true}})
	rooms := []string{"chat:a", "chat:b", "past:a"}
	users := []string{"ann", "ben", "cleo"}
	for _, id := range rooms {
		for _, user := range users {
			f.enroll(id, user, "owner")
		}
	}
	tokens := map[string]string{}
	for _, user := range users {
		tokens[user] = f.token(user)
	}
	var all sync.WaitGroup
	for i := range 6 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		p := f.login(users[i%len(users)])
		if i%3 != 0 { // the others take nothing until the end
			all.Go(func() {
				for {
					if _, _, err := p.read(); err != nil {
						return
					}
				}
			})
		}
		all.Go(func() {
			defer func() { _ = p.nc.Close() }()
			for n := range 120 {
				id := rooms[rng.IntN(len(rooms))]
				frames := []string{
					`{"op":"join","room":%q,"with":["presence","receipts","signals"],"presence":{"n":1}}`, `{"op":"join","room":%q,"with":["signals"],"present":false}`, `{"op":"leave","room":%q}`,
					`{"op":"signal","room":%q,"type":"typing","data":1}`, `{"op":"presence","room":%q,"idle":true,"data":{"n":2}}`, `{"op":"read","id":1,"room":%q,"read":9}`,
					`{"op":"sync","room":%q,"side":"presence"}`, `{"op":"me","id":2,"room":%q}`,
				}
				if _, err := p.nc.Write(frame(0x81, fmt.Appendf(nil, frames[rng.IntN(len(frames))], id))); err != nil && n < 50 {
					return
				}
			}
		})
	}
	for i := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
		all.Go(func() {
			for n := range 60 {
				id, user := rooms[rng.IntN(len(rooms))], users[rng.IntN(len(users))]
				tag := tagOf(i*1000 + n)
				at := "/v1/rooms/" + id
				asked := [][3]string{
					{"POST", at + "/events", fmt.Sprintf(`{"tag":%q,"type":"message","data":{"text":"x","mentions":["ann"]}}`, tag)},
					{"POST", at + "/events", fmt.Sprintf(`{"tag":%q,"type":"delete","data":{"target":%d}}`, tag, 1+rng.IntN(20))},
					{"POST", at + "/events", fmt.Sprintf(`{"tag":%q,"type":"edit","data":{"target":%d,"data":1}}`, tag, 1+rng.IntN(20))},
					{"PUT", at + "/members/" + user, `{"role":"member"}`}, {"DELETE", at + "/members/" + user, ""},
					{"PUT", at + "/mutes/" + user, `{"for":"1s"}`}, {"DELETE", at + "/mutes/" + user, ""}, {"PUT", at + "/bans/" + user, `{"for":"1s"}`}, {"DELETE", at + "/bans/" + user, ""},
					{"GET", at + "/events?before=100", ""}, {"GET", at + "/presence", ""}, {"GET", at + "/receipts?seq=1", ""}, {"GET", at + "/search?q=x", ""}, {"GET", "/v1/me/rooms", ""},
					{"GET", "/v1/users/presence?user=ann&user=ben", ""}, {"DELETE", at, ""},
				}[rng.IntN(16)]
				token := tokens[user]
				if rng.IntN(2) == 0 && asked[1] != "/v1/me/rooms" {
					token = clubKey
				}
				if a := f.request(asked[0], asked[1], token, asked[2]); a.status == 500 {
					t.Errorf("%v is answered by %d %s", asked, a.status, a.text)
				}
			}
		})
	}
	all.Wait()
}
