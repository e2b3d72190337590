package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"roomlog/history"
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

// ward takes access from one outcast after the other while ctx lasts: a room by a ban, or everything by ending the
// user's tokens. What is sent meanwhile are the canaries (I17). In the end all have it back.
func (r *run) ward(ctx context.Context, rng *rand.Rand) error {
	token, err := r.node.token("warden")
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		f := r.outcasts[rng.IntN(len(r.outcasts))]
		line := history.Line{Op: history.OpRevoke, Client: "warden", Author: f.name, Room: f.room}
		method, path, body := http.MethodPut, "/v1/rooms/"+f.room+"/bans/"+f.name, "{}"
		if rng.IntN(2) == 0 {
			line.Room, method, path, body = "", http.MethodPost, "/v1/users/"+f.name+"/revoke", `{"block":true}`
		}
		line.TMono = history.Now()
		if err := r.order(ctx, token, method, path, body); err == nil {
			line.TEnd = history.Now()
			r.rec.Add(line)
			wait(ctx, time.Duration(200+rng.IntN(800))*time.Millisecond)
			r.rec.mu.Lock()
			r.rec.wards++
			r.rec.mu.Unlock()
		}
		// Before the order, since it is good before it is answered.
		r.rec.Add(history.Line{Op: history.OpAllow, Client: "warden", Author: f.name, Room: line.Room, TMono: history.Now()})
		for over := time.Now().Add(settle); ; { // what may hold, answered or not, is lifted
			err := r.order(context.WithoutCancel(ctx), token, http.MethodDelete, path, "")
			if err == nil {
				break
			}
			if time.Now().After(over) {
				return fmt.Errorf("lift %s: %w", path, err)
			}
			wait(context.Background(), 50*time.Millisecond)
		}
		wait(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
	}
	return nil
}

// order makes one request of the node itself; an answer that is not a success is an error.
func (r *run) order(ctx context.Context, token, method, path, body string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*quiet)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.node.addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
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
		r.rec.violation(breach)
		return breach
	}
	return errors.Join(err, fmt.Errorf("status %d", resp.StatusCode))
}
