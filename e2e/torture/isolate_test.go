package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"roomlog/history"
)

// nasty are rooms whose names are beginnings of each other, or differ in one character that a key or a pattern might
// drop. Each has a writer whose events are canaries: nobody is to see them who may not read the room (I19).
var nasty = []string{
	"chat:a", "chat:a:a", "chat:a:a:b", "chat:a:a_b", "chat:a:", "chat:A", "chat:a.a", "chat:aa",
	"a:a", "a:a:b", "a:a_b", "a_b:a", "aa:a", "a:aa", "a:A",
}

// nowhere are rooms that do not exist. A refusal must not tell them from rooms that do.
var nowhere = []string{"chat:a:b", "a:ab", "b:a", "chat:a:a:", "chat:a:a:b:c"}

// wanderer has grants of its own, and tries every room.
type wanderer struct {
	name   string
	grants []grant
	token  string
	base   string
	rec    *recorder
	rng    *rand.Rand
}

// may is what the grants mean: a room id, or a prefix and a star (AUTH-4).
func (w *wanderer) may(room string) bool {
	for _, g := range w.grants {
		if prefix, star := strings.CutSuffix(g.Rooms, "*"); room == g.Rooms || star && strings.HasPrefix(room, prefix) {
			return true
		}
	}
	return false
}

// isolate casts n wanderers with drawn grants, their followers in the rooms that they may read, and the writers of
// those rooms.
func (r *run) isolate(n int) error {
	key, err := r.node.key()
	if err != nil {
		return err
	}
	for i := range n {
		w := &wanderer{name: fmt.Sprintf("wanderer-%d", i), rec: r.rec, rng: r.draw(), base: r.base()}
		for range 1 + r.rng.IntN(3) {
			pattern := nasty[r.rng.IntN(len(nasty))]
			if r.rng.IntN(2) == 0 {
				pattern = pattern[:1+r.rng.IntN(len(pattern))] + "*"
			}
			w.grants = append(w.grants, grant{Rooms: pattern, Can: []string{"read"}})
		}
		if w.token, err = sign(key, w.name, w.grants, time.Hour); err != nil {
			return err
		}
		r.wanderers = append(r.wanderers, w)
		for _, room := range nasty {
			if !w.may(room) {
				continue
			}
			r.rec.Add(history.Line{Op: history.OpMay, Client: w.name, Room: room})
			if r.rng.IntN(3) == 0 {
				r.followers = append(r.followers, &follower{
					name: w.name, transport: []string{"ws", "sse", "poll"}[r.rng.IntN(3)], room: room, base: r.base(),
					token: w.token, rec: r.rec, rng: r.draw(), position: "0",
				})
			}
		}
		r.rec.Add(history.Line{Op: history.OpMay, Client: w.name, Room: "none:none"}) // who may read nothing is judged as well
	}
	for i, room := range nasty {
		name := fmt.Sprintf("canary-%d", i)
		token, err := sign(key, name, everything, time.Hour)
		if err != nil {
			return err
		}
		r.writers = append(r.writers, &writer{
			name: name, transport: "http", room: room, base: r.base(), token: token, rec: r.rec, rng: r.draw(), pace: 100 * time.Millisecond,
		})
	}
	r.rooms = append(r.rooms, nasty...)
	return nil
}

// run tries rooms that are not the wanderer's, until ctx ends.
func (w *wanderer) run(ctx context.Context) {
	var closed []string
	for _, room := range append(append([]string{}, nasty...), nowhere...) {
		if !w.may(room) {
			closed = append(closed, room)
		}
	}
	client := &http.Client{Timeout: quiet}
	for len(closed) > 0 && ctx.Err() == nil {
		room := closed[w.rng.IntN(len(closed))]
		var err error
		switch way := w.rng.IntN(4); way {
		case 0:
			err = w.join(ctx, room)
		case 1:
			err = w.ask(ctx, client, "poll", http.MethodGet, "/v1/rooms/"+room+"/events?after=0", room)
		case 2:
			err = w.ask(ctx, client, "sse", http.MethodGet, "/v1/sse?after=0&room="+url.QueryEscape(room), room)
		case 3:
			err = w.ask(ctx, client, "post", http.MethodPost, "/v1/rooms/"+room+"/events", room)
		}
		if err != nil && ctx.Err() == nil {
			w.rec.note("wanderer", err)
		}
		wait(ctx, time.Duration(w.rng.IntN(100))*time.Millisecond)
	}
}

// join asks for a room over a WebSocket. What it is given instead of a refusal goes into the history, for the checker
// to see.
func (w *wanderer) join(ctx context.Context, room string) error {
	conn, err := dialWebSocket(ctx, w.base, w.token)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if err := writeJSON(ctx, conn, map[string]any{"op": "join", "id": 7, "room": room, "position": "0"}); err != nil {
		return err
	}
	for {
		read, cancel := context.WithTimeout(ctx, quiet)
		_, text, err := conn.Read(read)
		cancel()
		if err != nil {
			return closing(err)
		}
		var fr frame
		if err := json.Unmarshal(text, &fr); err != nil {
			return err
		}
		switch {
		case fr.Op == "joined" && fr.Page != nil:
			fr.Page.Epoch = fr.Epoch
			w.leak("ws", room, *fr.Page)
			return nil
		case fr.Op == "error" && fr.ID == 7:
			return w.deny("ws", room, text)
		}
	}
}

// ask makes a request of a room that is to be refused.
func (w *wanderer) ask(ctx context.Context, client *http.Client, transport, method, path, room string) error {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(fmt.Sprintf(`{"tag":%q,"type":"message","data":"intruder"}`, newTag()))
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode < 300 && transport == "sse":
		w.leak(transport, room, page{})
		return nil
	case resp.StatusCode < 300:
		var p page
		err := json.NewDecoder(resp.Body).Decode(&p)
		w.leak(transport, room, p)
		return err
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return fmt.Errorf("%s: status %d", transport, resp.StatusCode)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return w.deny(transport, room, text)
}

// deny records a refusal, by all of it but the names of the room and the request.
func (w *wanderer) deny(transport, room string, text []byte) error {
	var told map[string]any
	if err := json.Unmarshal(text, &told); err != nil {
		return err
	}
	if told["retryable"] == true {
		return fmt.Errorf("%s: %v", transport, told["code"])
	}
	if bytes.Contains(text, []byte(w.token)) || bytes.Contains(text, []byte(canaryData)) {
		return breach(fmt.Sprintf("ERR-6: a refusal over %s repeats a token or the data of an event", transport))
	}
	delete(told, "room")
	delete(told, "request_id")
	plain, err := json.Marshal(told) // in the order of the names
	if err != nil {
		return err
	}
	plain = bytes.ReplaceAll(plain, []byte(room), []byte("ROOM"))
	code, _ := told["code"].(string)
	w.rec.Add(history.Line{
		Op: history.OpDeny, Client: w.name, Transport: transport, Room: room, Code: code, PayloadHash: history.Hash(plain),
	})
	return nil
}

// leak records what was given of a room that is not the wanderer's.
func (w *wanderer) leak(transport, room string, p page) {
	f := &follower{name: w.name, transport: transport, room: room}
	w.rec.page(f, p, history.ViaReplay)
}
