package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// PRES-14: pages name everybody who is there, in order and once, however many came and went since the last one, shown or not.
func TestPagesFollow(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 1))
	p := New(Config{})
	there, left := map[string]bool{}, map[string]bool{} // who has left stays for the grace
	for range 200 {
		for range rng.IntN(3 * mostMoves / 2) {
			user := fmt.Sprintf("user-%d", rng.IntN(400))
			if there[user] {
				p.Went(hall, user, user)
				delete(there, user)
				left[user] = true
			} else {
				p.Came(hall, user, Guest{Connection: user, User: user})
				there[user] = true
				delete(left, user)
			}
		}
		if rng.IntN(3) == 0 {
			p.do(time.Now().Add(time.Hour)) // the grace of all is over
			clear(left)
		}
		want := slices.Sorted(maps.Keys(there))
		want = append(want, slices.Collect(maps.Keys(left))...)
		slices.Sort(want)
		var got []string
		for after, more := "", true; more; {
			page, err := p.Page(t.Context(), hall, after, 1+rng.IntN(300))
			if err != nil || page.Users != len(want) || page.Connections != len(want) {
				t.Fatalf("%d users and %d connections, %v; want %d", page.Users, page.Connections, err, len(want))
			}
			for _, text := range page.Members {
				var m Member
				if err := json.Unmarshal(text, &m); err != nil {
					t.Fatal(err)
				}
				got = append(got, m.User)
			}
			after, more = page.Next, page.Next != ""
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d users are listed, %d are there: %v, want %v", len(got), len(want), got, want)
		}
	}
}

// BenchmarkPage asks for a page of a room of 10,000 people, as a dashboard does again and again: while nobody comes and goes, and while one does
// each time.
func BenchmarkPage(b *testing.B) {
	for _, moves := range []bool{false, true} {
		b.Run(fmt.Sprintf("moves=%t", moves), func(b *testing.B) {
			p := New(Config{})
			for i := range 10_000 {
				p.Came("chat:a", i, Guest{Connection: fmt.Sprint("c", i), User: fmt.Sprintf("user-%d", i)})
			}
			p.do(time.Now().Add(time.Hour))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%100 == 99 {
					p.do(time.Now().Add(time.Hour))
				}
				if moves {
					p.Came("chat:a", n, Guest{Connection: fmt.Sprint("more", n), User: fmt.Sprint("more-", n)})
				}
				page, err := p.Page(b.Context(), "chat:a", "user-5", 100)
				if err != nil || len(page.Members) != 100 || page.Users < 10_000 {
					b.Fatalf("%+v, %v", page, err)
				}
			}
		})
	}
}
