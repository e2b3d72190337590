package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"roomlog/history"
)

// warden takes access from one outcast after the other, and gives it back: a room by a ban, or everything by ending the
// user's tokens. What is sent meanwhile are the canaries (I17).
type warden struct {
	rec      *recorder
	rng      *rand.Rand
	token    string
	door     func() string // of the node that is asked next
	outcasts []*follower

	least, most time.Duration // that a revocation lasts
	bound       time.Duration // in which other nodes may not know of it
}

// orderTakes is how long a node may still be at an order that nobody waits for any more.
const orderTakes = 11 * time.Second

// run goes on while ctx lasts. In the end all have their access back.
func (w *warden) run(ctx context.Context) error {
	open := make(map[string]time.Time) // orders that were not answered, by path, and when that was given up
	for ctx.Err() == nil {
		f := w.outcasts[w.rng.IntN(len(w.outcasts))]
		line := history.Line{Op: history.OpRevoke, Client: "warden", Author: f.name, Room: f.room, Max: int64(w.bound)}
		method, path, body := http.MethodPut, "/v1/rooms/"+f.room+"/bans/"+f.name, "{}"
		if w.rng.IntN(2) == 0 {
			line.Room, method, path, body = "", http.MethodPost, "/v1/users/"+f.name+"/revoke", `{"block":true}`
		}
		line.TMono = history.Now()
		if err := w.order(context.WithoutCancel(ctx), method, path, body); err == nil {
			line.TEnd = history.Now()
			w.rec.Add(line)
			wait(ctx, w.least+time.Duration(w.rng.Int64N(int64(w.most-w.least))))
			w.rec.mu.Lock()
			w.rec.wards++
			w.rec.mu.Unlock()
		} else if told := (*url.Error)(nil); errors.As(err, &told) {
			open[path] = time.Now()
		}
		// Before the order, since it is good before it is answered.
		w.rec.Add(history.Line{Op: history.OpAllow, Client: "warden", Author: f.name, Room: line.Room, TMono: history.Now()})
		if err := w.lift(path); err != nil { // what may hold, answered or not
			return err
		}
		wait(ctx, time.Duration(w.rng.IntN(300))*time.Millisecond)
	}
	for path, at := range open { // a node that was slow, or paused, may have done it after it was lifted
		wait(context.Background(), orderTakes-time.Since(at))
		if err := w.lift(path); err != nil {
			return err
		}
	}
	return nil
}

// lift gives back what an order at this path took, however often it must be asked for.
func (w *warden) lift(path string) error {
	for over := time.Now().Add(settle); ; {
		err := w.order(context.Background(), http.MethodDelete, path, "")
		if err == nil {
			return nil
		}
		if time.Now().After(over) {
			return fmt.Errorf("lift %s: %w", path, err)
		}
		wait(context.Background(), 50*time.Millisecond)
	}
}

// order makes one request of a node itself; an answer that is not a success is an error.
func (w *warden) order(ctx context.Context, method, path, body string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*quiet)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.door()+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	err = resp.Body.Close()
	switch {
	case resp.StatusCode < 300:
		return err
	case resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		breach := breach(fmt.Sprintf("ACC: %s %s: refused with status %d", method, path, resp.StatusCode))
		w.rec.violation(breach)
		return breach
	}
	return errors.Join(err, fmt.Errorf("status %d", resp.StatusCode))
}
