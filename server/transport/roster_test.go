package transport

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"roomlog/server/transport/auth"
)

// The roster against a plain list: whoever entered and did not leave is there, by user and in all.
func TestRoster(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	r := newRoster()
	var in, out []*guest
	for i := range 60 {
		out = append(out, &guest{id: fmt.Sprint(i)})
	}
	for range 5000 {
		if from := rng.IntN(len(in) + len(out)); from < len(out) {
			g := out[from]
			r.leave(g) // it is not there: nothing happens
			r.enter(g, &auth.Identity{User: fmt.Sprint("u", rng.IntN(4))})
			in, out = append(in, g), slices.Delete(out, from, from+1)
		} else {
			g := in[from-len(out)]
			r.leave(g)
			in, out = slices.Delete(in, from-len(out), from-len(out)+1), append(out, g)
		}
		user := fmt.Sprint("u", rng.IntN(5))
		var want []string
		for _, g := range in {
			if g.user == user {
				want = append(want, g.id)
			}
		}
		var got []string
		for _, g := range r.of(user) {
			got = append(got, g.id)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) || len(r.of("")) != len(in) {
			t.Fatalf("%s has %v, want %v; %d in all, want %d", user, got, want, len(r.of("")), len(in))
		}
		if len(in) > 0 && r.find(in[0].id) != in[0] || len(out) > 0 && r.find(out[0].id) != nil {
			t.Fatal("found who is not there, or not who is")
		}
	}
}
