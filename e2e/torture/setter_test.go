package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"roomlog/history"
)

// setter sets, compares and sets, and deletes keys of a room, and looks at the map; each attempt by another node than the one before. What is
// not answered is sent again with the same tag, and some of it to two nodes at once.
type setter struct {
	name, token, room string
	rec               *recorder
	rng               *rand.Rand
	doors             []door

	client *http.Client
	moves  func() door
	known  map[string]int64 // the seqs of keys, as far as it was told
	made   int
	said   registers
}

const (
	setPace = 180 * time.Millisecond // between two doings of a setter
	setKeys = 6
)

func (s *setter) run(ctx context.Context, stop <-chan struct{}) {
	s.client, s.moves, s.known = &http.Client{Timeout: quiet}, rounds(s.rng, s.doors), make(map[string]int64)
	for ; !closed(stop) && ctx.Err() == nil; wait(ctx, setPace) {
		var err error
		if s.rng.IntN(5) == 0 {
			err = s.look(ctx)
		} else {
			err = s.set(ctx, s.draw())
		}
		if err != nil && ctx.Err() == nil {
			s.rec.note("setter", err)
		}
	}
	if err := s.finish(ctx); err != nil && ctx.Err() == nil {
		s.rec.note("setter", err)
	}
}

// finish has it create a key that nobody else sets, look, change it from what it is, and from what it was, which is a conflict: whatever the
// dice gave until then, the judge has one of each.
func (s *setter) finish(ctx context.Context) error {
	key := "of " + s.name
	set := func(ifSeq int64) (seq int64, err error) {
		s.made++
		m := &setting{Room: s.room, Tag: newTag(), If: ifSeq, Keys: map[string]rawText{key: rawText(fmt.Sprintf(`"%s %d"`, s.name, s.made))}}
		err = s.set(ctx, m)
		return m.Seq, err
	}
	first, err := set(0)
	if err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	if _, err := set(s.known[key]); err != nil {
		return err
	}
	_, err = set(first)
	return err
}

// draw makes a send: of one to three keys, some of which it deletes; it looks before it sets, creates, or does neither.
func (s *setter) draw() *setting {
	s.made++
	m := &setting{Room: s.room, Tag: newTag(), Keys: make(map[string]rawText), If: -1}
	for range 1 + s.rng.IntN(3)/2*s.rng.IntN(3) {
		key := fmt.Sprintf("k%d", s.rng.IntN(setKeys))
		if m.Keys[key] = rawText(fmt.Sprintf(`"%s %d"`, s.name, s.made)); s.rng.IntN(6) == 0 {
			m.Keys[key] = ""
		}
	}
	switch s.rng.IntN(10) {
	case 0, 1, 2:
	case 3, 4:
		m.If = 0
	default:
		m.If = 1 // where nothing is known yet
		for key := range m.Keys {
			m.If = max(m.If, s.known[key])
		}
	}
	return m
}

func (s *setter) set(ctx context.Context, m *setting) error {
	s.said.settings = append(s.said.settings, m)
	m.Call = history.Now()
	var mu sync.Mutex
	var sending sync.WaitGroup
	failed := make(chan error, 2)
	for range 1 + s.rng.IntN(5)/4 {
		moves, ways := rounds(s.rng, s.doors), s.rng.Perm(3)
		sending.Go(func() { failed <- s.insist(ctx, m, &mu, moves, ways) })
	}
	sending.Wait()
	close(failed)
	for key := range m.Keys {
		s.known[key] = max(s.known[key], m.Seq)
	}
	for _, lost := range m.Lost {
		for key, e := range lost.Current {
			s.known[key] = max(s.known[key], e.Seq)
		}
	}
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// setAnswer is an answer to a send, over whatever it came.
type setAnswer struct {
	Op        string           `json:"op"`
	Code      string           `json:"code"`
	Title     string           `json:"title"`
	Retryable bool             `json:"retryable"`
	Seq       int64            `json:"seq"`
	Known     bool             `json:"known"`
	Current   map[string]entry `json:"current"`
}

// insist sends until it is answered for good.
func (s *setter) insist(ctx context.Context, m *setting, mu *sync.Mutex, moves func() door, ways []int) error {
	for try, over := 0, time.Now().Add(settle); ; try++ {
		call := history.Now()
		a, err := s.attempt(ctx, moves(), m, ways[try%len(ways)])
		end := history.Now()
		mu.Lock()
		switch {
		case err != nil || a.Retryable:
		case a.Code == "conflict":
			m.Lost = append(m.Lost, lostRace{call, end, a.Current})
		case a.Code != "" || a.Seq == 0:
			err = breach(fmt.Sprintf("STATE-1: a send is refused: %s %s", a.Code, a.Title))
		case m.Seq != 0 && m.Seq != a.Seq:
			err = breach(fmt.Sprintf("TAG-3: one send is acked as %d and as %d", m.Seq, a.Seq))
		case m.Seq == 0 || end < m.Return:
			m.Seq, m.Return = a.Seq, end
		}
		mu.Unlock()
		if _, broken := err.(breach); broken || err == nil && !a.Retryable {
			return err
		}
		if ctx.Err() != nil || time.Now().After(over) {
			return fmt.Errorf("a send of state is not answered: %s: %w", a.Code, err)
		}
		wait(ctx, 50*time.Millisecond)
	}
}

func (s *setter) attempt(ctx context.Context, to door, m *setting, way int) (a setAnswer, err error) {
	data := make(map[string]json.RawMessage, len(m.Keys))
	for key, value := range m.Keys {
		if data[key] = json.RawMessage(value); value == "" {
			data[key] = json.RawMessage("null")
		}
	}
	event := map[string]any{"tag": m.Tag, "type": "state", "data": data}
	if m.If >= 0 {
		event["if_seq"] = m.If
	}
	base := "http://" + to.addr + "/v1/rooms/" + s.room
	switch way {
	case 0:
		return sendFrame(ctx, to, s.token, s.room, event)
	case 1:
		err = ask(ctx, s.client, http.MethodPost, base+"/events", s.token, jsonText(event), &a)
	default:
		header := []string{"Content-Type", "application/json", "Idempotency-Key", m.Tag}
		if m.If >= 0 {
			header = append(header, "If-Match", fmt.Sprintf("%q", fmt.Sprint(m.If)))
		}
		err = ask(ctx, s.client, http.MethodPatch, base+"/state", s.token, jsonText(data), &a, header...)
	}
	return a, err
}

// look asks for the map. That what it is given is no older than what was answered before it asked is for the judge to say.
func (s *setter) look(ctx context.Context) error {
	at := s.moves()
	l := lookup{Room: s.room, Node: at.node, Call: history.Now()}
	var a struct {
		Code      string           `json:"code"`
		Retryable bool             `json:"retryable"`
		Seq       int64            `json:"seq"`
		State     map[string]entry `json:"state"`
	}
	if err := ask(ctx, s.client, http.MethodGet, "http://"+at.addr+"/v1/rooms/"+s.room+"/state", s.token, nil, &a); err != nil {
		return err
	}
	switch l.Return = history.Now(); {
	case a.Retryable:
		return fmt.Errorf("state: %s", a.Code)
	case a.Code != "":
		return breach("STATE-13: refused: " + a.Code)
	}
	l.Seq, l.Map = a.Seq, a.State
	s.said.lookups = append(s.said.lookups, l)
	for key, e := range a.State {
		s.known[key] = max(s.known[key], e.Seq)
	}
	return nil
}

func jsonText(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is ours
	}
	return text
}

// ask makes one request and decodes its answer, whatever its status. header: names and values; without any, a body is JSON.
func ask(ctx context.Context, client *http.Client, method, url, token string, body []byte, answer any, header ...string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil && len(header) == 0 {
		header = []string{"Content-Type", "application/json"}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if raw, is := answer.(*[]byte); is && resp.StatusCode == http.StatusOK {
		*raw, err = io.ReadAll(resp.Body)
		return err
	} else if is {
		return statusError(url, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// sendFrame sends an event over a connection of its own.
func sendFrame(ctx context.Context, to door, token, room string, event map[string]any) (a setAnswer, err error) {
	ctx, end := context.WithTimeout(ctx, quiet)
	defer end()
	frame := map[string]any{"op": "send", "id": 1, "n": 1, "room": room}
	for key, value := range event {
		frame[key] = value
	}
	answered := fmt.Errorf("answered")
	err = converse(ctx, to.addr, token, []map[string]any{frame}, func(_ *websocket.Conn, text []byte) error {
		a = setAnswer{}
		if err := json.Unmarshal(text, &a); err != nil {
			return err
		}
		if a.Op == "ack" || a.Op == "error" {
			return answered
		}
		return nil
	})
	if err == answered {
		err = nil
	}
	return a, err
}
