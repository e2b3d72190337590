package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
)

// cursor follows a room over a transport, each visit at another node than the one before.
type cursor struct {
	transport, room, token string
	rng                    *rand.Rand
	moves                  func() door
}

// place is where a cursor stands.
type place struct {
	position string // "": nowhere, it begins with the latest page; polls begin at 0
	seen     int64  // how far it has seen the room, whatever its position (NODE-4); streams cannot say it
	replay   int    // how many events it wants at most, over a WebSocket; 0: it does not say
}

// changedPage is any frame, event of a stream or answer with a page.
type changedPage struct {
	Op       string           `json:"op"`
	Code     string           `json:"code"`
	Epoch    string           `json:"epoch"`
	Reason   string           `json:"reason"`
	Prev     int64            `json:"prev"`
	Seq      int64            `json:"seq"`
	Head     int64            `json:"head"`
	Floor    int64            `json:"floor"`
	Position string           `json:"position"`
	Events   []changedEvent   `json:"events"`
	Full     bool             `json:"full"`
	Docs     bool             `json:"docs"`
	State    map[string]entry `json:"state"`
	Page     *changedPage     `json:"page"`
	Reset    *reset           `json:"reset"`
}

// follow makes one visit, which the time that it lasts may end: that is no error. What comes is given to take; where the position is not
// continued, anew is called, and the visit over.
func (c *cursor) follow(ctx context.Context, lasting time.Duration, from func() place, take func(node string, p changedPage), anew func()) error {
	visit, end := context.WithTimeout(ctx, lasting)
	defer end()
	var err error
	switch at := c.moves(); c.transport {
	case "ws":
		err = c.overWebSocket(visit, at, from(), take, anew)
	case "sse":
		err = c.overStream(visit, at, from(), take, anew)
	default:
		for ; err == nil; at = c.moves() {
			err = c.poll(visit, at, from(), take, anew)
		}
	}
	if b := breach(""); visit.Err() != nil && !errors.As(err, &b) {
		return nil
	}
	return err
}

func (c *cursor) overWebSocket(ctx context.Context, at door, from place, take func(string, changedPage), anew func()) error {
	join := map[string]any{"op": "join", "id": 1, "room": c.room, "seen": from.seen}
	if from.position != "" {
		join["position"] = from.position
		if from.replay > 0 {
			join["replay"] = from.replay
		}
	}
	return converse(ctx, at.addr, c.token, []map[string]any{join}, func(_ *websocket.Conn, text []byte) error {
		var p changedPage
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		switch {
		case p.Op == "reset" || p.Reset != nil: // another epoch: the same room from its beginning
			anew()
			return fmt.Errorf("reset %s", p.Reason)
		case p.Op == "joined":
			take(at.node, *p.Page)
		case p.Op == "page":
			take(at.node, p)
		case p.Op == "error":
			return fmt.Errorf("join: %s", p.Code)
		}
		return nil
	})
}

func (c *cursor) overStream(ctx context.Context, at door, from place, take func(string, changedPage), anew func()) error {
	return followStream(ctx, "http://"+at.addr+"/v1/sse?room="+url.QueryEscape(c.room), c.token, from.position, func(name, _, data string) error {
		var p changedPage
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return err
		}
		switch name {
		case "page":
			take(at.node, p)
		case "reset":
			anew()
			return fmt.Errorf("reset %s", p.Reason)
		}
		return nil
	})
}

func (c *cursor) poll(ctx context.Context, at door, from place, take func(string, changedPage), anew func()) error {
	if from.position == "" {
		from.position = "0"
	}
	status, text, err := request(ctx, &http.Client{Timeout: 2 * quiet}, http.MethodGet, fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%s&seen=%d&limit=%d&wait=1",
		at.addr, c.room, url.QueryEscape(from.position), from.seen, 1+c.rng.IntN(200)), c.token, nil)
	if err != nil {
		return err
	}
	switch status {
	case http.StatusOK:
	case http.StatusGone:
		anew()
		return errors.New("reset")
	default:
		return statusError("poll", status)
	}
	var p changedPage
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	take(at.node, p)
	return nil
}

// visited notes how a visit ended, where its time was not up.
func (r *recorder) visited(who string, err error) {
	if err != nil {
		r.note(who, err)
	}
}
