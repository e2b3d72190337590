package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// window is what a client shows of chat:a, kept as careful clients do: a page is taken only where it
// adjoins (PAGE-3), and a reset empties it (RESET-3). The events of these tests say of which history they
// are; one window never holds two of them (I11).
type window struct {
	mu       sync.Mutex
	name     string
	position string
	seq      int64
	epoch    string
	events   []string // the history of each event
	resets   []string
	wrong    string
	changed  chan struct{} // holds one
}

// pageBody is a page as every transport gives it.
type pageBody struct {
	Epoch    string
	Prev     int64
	Seq      int64
	Position string
	Reason   string
	Events   []struct {
		Seq  int64
		Data string
	}
}

func (w *window) take(p pageBody) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.tell()
	if w.epoch != "" && (p.Epoch != w.epoch || p.Prev != w.seq) {
		w.wrong = fmt.Sprintf("a page (%d,%d] of epoch %s comes at %d of epoch %s", p.Prev, p.Seq, p.Epoch, w.seq, w.epoch)
		return
	}
	for _, e := range p.Events {
		w.events = append(w.events, e.Data)
	}
	seen := strings.Join(w.events, " ")
	if strings.Contains(seen, "lost") && strings.Contains(seen, "restored") {
		w.wrong = "a mix: " + seen
	}
	w.epoch, w.seq, w.position = p.Epoch, p.Seq, p.Position
}

func (w *window) reset(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resets = append(w.resets, reason)
	w.epoch, w.seq, w.events = "", 0, nil
	w.tell()
}

func (w *window) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *window) at() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.position
}

// await waits until the window ends in seq with an event of a history.
func (w *window) await(ctx context.Context, seq int64, history string) error {
	for {
		w.mu.Lock()
		n := len(w.events)
		done := w.seq == seq && n > 0 && w.events[n-1] == history
		err := fmt.Errorf("%s stands at %d, %v, after resets %v, and not at %d, %s", w.name, w.seq, w.events, w.resets, seq, history)
		if w.wrong != "" {
			done, err = true, fmt.Errorf("%s: %s", w.name, w.wrong)
		} else if done {
			err = nil
		}
		w.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return err
		}
	}
}

// site is where the server is now; it moves when the server is started again.
type site struct {
	mu    sync.Mutex
	url   string
	token string
}

func (s *site) move(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
}

// get asks the server, and waits a moment where there is none.
func (s *site) get(ctx context.Context, path, lastID string) (*http.Response, error) {
	s.mu.Lock()
	base := s.url
	s.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err == nil && base == "" {
		err = fmt.Errorf("no server")
	}
	if err == nil {
		request.Header.Set("Authorization", "Bearer "+s.token)
		if lastID != "" {
			request.Header.Set("Last-Event-ID", lastID)
		}
		var response *http.Response
		if response, err = http.DefaultClient.Do(request); err == nil {
			return response, nil
		}
	}
	retry := time.NewTimer(20 * time.Millisecond)
	defer retry.Stop()
	select {
	case <-retry.C:
	case <-ctx.Done():
	}
	return nil, err
}

// poll follows the room by long polls until ctx ends; marks false leaves the marks out of its positions.
func (w *window) poll(ctx context.Context, s *site, marks bool) {
	for latest := false; ctx.Err() == nil; {
		query := "wait=5&after=" + url.QueryEscape(w.at())
		if !marks && strings.Count(w.at(), ":") == 2 {
			query = "wait=5&after=" + w.at()[:strings.LastIndex(w.at(), ":")]
		}
		if latest {
			query = "limit=500&before=9007199254740991"
		}
		response, err := s.get(ctx, "/v1/rooms/chat:a/events?"+query, "")
		if err != nil {
			continue
		}
		var p pageBody
		err = json.NewDecoder(response.Body).Decode(&p)
		response.Body.Close()
		switch {
		case err != nil:
		case response.StatusCode == http.StatusGone:
			w.reset(p.Reason)
			latest = true
		case response.StatusCode == http.StatusOK:
			w.take(p)
			latest = false
		}
	}
}

// stream follows the room by SSE until ctx ends, and connects again with the last id.
func (w *window) stream(ctx context.Context, s *site) {
	id := w.at()
	for ctx.Err() == nil {
		response, err := s.get(ctx, "/v1/sse?room=chat:a", id)
		if err != nil {
			continue
		}
		id = w.frames(response.Body, id)
		response.Body.Close()
	}
}

// frames reads a stream to its end and gives the last id.
func (w *window) frames(body io.Reader, id string) string {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	var name string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			var p pageBody
			if err := json.Unmarshal([]byte(value), &p); err != nil {
				continue
			}
			switch name {
			case "page":
				w.take(p)
			case "reset":
				w.reset(p.Reason)
			}
		}
	}
	return id
}
