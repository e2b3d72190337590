package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// outcasts cast readers of every transport from whom the warden takes access, and gives it back.
func (r *run) castOutcasts(n int) error {
	key, err := r.node.key()
	if err != nil {
		return err
	}
	for i := range n {
		name := fmt.Sprintf("outcast-%d", i)
		f := &follower{
			name: name, transport: []string{"ws", "sse", "poll"}[i%3], room: roomName(i % rooms), base: r.base(),
			rec: r.rec, rng: r.draw(), position: "0", outcast: true,
		}
		f.refresh = func() (string, time.Duration) { // one that was issued after the last revocation
			token, err := sign(key, name, everything, time.Hour)
			if err != nil {
				panic(err)
			}
			return token, time.Hour
		}
		r.followers = append(r.followers, f)
		r.outcasts = append(r.outcasts, f)
	}
	return nil
}

// ward has a warden take access from the outcasts while ctx lasts; on one node the bound is 0.
func (r *run) ward(ctx context.Context, rng *rand.Rand) error {
	token, err := r.node.token("warden")
	if err != nil {
		return err
	}
	w := &warden{
		rec: r.rec, rng: rng, token: token, door: func() string { return r.node.addr }, outcasts: r.outcasts,
		least: 200 * time.Millisecond, most: time.Second,
	}
	return w.run(ctx)
}
