package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// sniffer is a user who looks everywhere for what is not theirs, over sockets, streams and requests: the canaries of other rooms are
// in what people there show, signal, mark and say, and in their names (I19).
type sniffer struct {
	name, token string
	open        string   // a room of their own
	closed      []string // rooms of others
	canaries    [][]byte
	person      string // a user of a room of others
	rec         *recorder
	rng         *rand.Rand
	moves       func() door

	mu     sync.Mutex
	looked map[string]int // what was looked at, by way
}

// smell judges what was read.
func (s *sniffer) smell(way string, text []byte) {
	s.mu.Lock()
	s.looked[way]++
	s.mu.Unlock()
	for _, canary := range s.canaries {
		if bytes.Contains(text, canary) {
			s.rec.violation(fmt.Errorf("I19: %s is given %s by %s", s.name, canary, way))
		}
	}
	if wordPattern.Match(text) {
		s.rec.violation(fmt.Errorf("I19: %s is given what was said in a room of others by %s", s.name, way))
	}
}

// socket joins everything, and asks everything that a socket can, of one node after the other.
func (s *sniffer) socket(ctx context.Context) {
	for rng := rand.New(rand.NewPCG(s.rng.Uint64(), 6)); ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		visit, end := context.WithTimeout(ctx, stay/2+time.Duration(rng.Int64N(int64(stay))))
		if err := s.visit(visit); visit.Err() == nil {
			s.rec.note("sniffer", err)
		}
		end()
	}
}

func (s *sniffer) visit(ctx context.Context) error {
	s.mu.Lock()
	at := s.moves()
	s.mu.Unlock()
	with := []string{"presence", "receipts", "signals", "parts"}
	ask := []map[string]any{{"op": "me", "id": 1}, {"op": "join", "id": 2, "room": s.open, "with": with, "position": "0"}}
	for i, room := range s.closed {
		id := 10 * (i + 1)
		ask = append(ask,
			map[string]any{"op": "join", "id": id, "room": room, "with": with, "position": "0"},
			map[string]any{"op": "sync", "id": id + 1, "room": room, "side": "presence"},
			map[string]any{"op": "sync", "id": id + 5, "room": room, "side": "parts"},
			map[string]any{"op": "presence", "id": id + 2, "room": room, "data": map[string]any{}},
			map[string]any{"op": "signal", "id": id + 3, "room": room, "type": "cursor", "data": 1},
			map[string]any{"op": "read", "id": id + 4, "room": room, "read": 1})
	}
	return converse(ctx, at.addr, s.token, ask, func(_ *websocket.Conn, text []byte) error {
		var fr frame
		if err := json.Unmarshal(text, &fr); err != nil {
			return err
		}
		s.smell("socket "+fr.Op, text)
		return nil
	})
}

// stream follows its own rooms and the feed as a stream.
func (s *sniffer) stream(ctx context.Context) {
	for ; ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		visit, end := context.WithTimeout(ctx, stay)
		s.mu.Lock()
		at := s.moves()
		s.mu.Unlock()
		req, err := http.NewRequestWithContext(visit, http.MethodGet, "http://"+at.addr+"/v1/sse?me=true&with=presence,receipts,signals,parts&room="+s.open, nil)
		if err != nil {
			panic(err) // the address is ours
		}
		req.Header.Set("Authorization", "Bearer "+s.token)
		if resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req); err == nil {
			_ = readStream(resp.Body, func() {}, func(name, _, data string) error {
				s.smell("stream "+name, []byte(data))
				return nil
			}, func(int64) {})
			resp.Body.Close()
		}
		end()
	}
}

// requests asks by every route that says something of rooms and people.
func (s *sniffer) requests(ctx context.Context) {
	client := &http.Client{Timeout: quiet}
	paths := []string{"/v1/me/rooms", "/v1/me/search?q=zap", "/v1/me/search?q=hush"}
	for _, room := range s.closed {
		for _, of := range []string{"presence", "receipts?seq=1", "search?q=zap", "members", "events?after=0", "events?before=100000", "mutes"} {
			paths = append(paths, "/v1/rooms/"+room+"/"+of)
		}
	}
	for i := 0; ctx.Err() == nil; i++ {
		s.mu.Lock()
		at := s.moves()
		s.mu.Unlock()
		path := paths[i%len(paths)]
		if status, text, err := request(ctx, client, http.MethodGet, "http://"+at.addr+path, s.token, nil); err == nil && status < http.StatusInternalServerError {
			s.smell("GET "+path, text)
		}
		if i%8 == 4 { // whatever streams there is theirs
			path := fmt.Sprintf("/v1/rooms/%s/streams/%d", s.closed[i/8%len(s.closed)], 1+i/16)
			status, text, err := request(ctx, client, http.MethodPost, "http://"+at.addr+path, s.token, map[string]any{"offset": 0, "text": ""})
			if s.smell("POST part", text); err == nil && status < http.StatusBadRequest {
				s.rec.violation(fmt.Errorf("I19, PART-3: %s says how a message goes on in a room of others: %s", s.name, text))
			}
		}
		if i%8 == 0 { // the answer names who was asked for, and must say nothing else
			_, text, err := request(ctx, client, http.MethodGet, "http://"+at.addr+"/v1/users/presence?user="+s.person, s.token, nil)
			if err == nil && (bytes.Contains(text, []byte(`"online":true`)) || bytes.Contains(text, []byte("last_seen"))) {
				s.rec.violation(fmt.Errorf("I19, PRES-17: %s is told of a user of another room: %s", s.name, text))
			}
		}
		wait(ctx, 30*time.Millisecond)
	}
}
