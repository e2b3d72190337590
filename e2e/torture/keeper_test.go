package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"roomlog/history"
)

// keeper follows a room whose messages change, folds what it is given, and comes back to another node every moment: from
// where it stood, or from the beginning. It holds that who was given a delete is given its message no more: from then on by
// no page of any node, as long as it says how far it has seen (CHG-7, CHG-8, NODE-4).
type keeper struct {
	name, transport, room, token string

	rec    *recorder
	ledger *ledger
	rng    *rand.Rand
	moves  func() door

	mu       sync.Mutex
	position string
	seq      int64 // where it stands
	most     int64 // the highest seq that it was given
	dropped  map[int64]bool
	window   fold
}

type changedPage struct {
	Op       string         `json:"op"`
	Code     string         `json:"code"`
	Epoch    string         `json:"epoch"`
	Reason   string         `json:"reason"`
	Seq      int64          `json:"seq"`
	Head     int64          `json:"head"`
	Floor    int64          `json:"floor"`
	Position string         `json:"position"`
	Events   []changedEvent `json:"events"`
	Page     *changedPage   `json:"page"`
	Reset    *reset         `json:"reset"`
}

// stay is how long a keeper keeps a connection at most.
const stay = 2 * time.Second

func (k *keeper) run(ctx context.Context) {
	k.begin()
	for ctx.Err() == nil {
		if k.rng.IntN(2) == 0 {
			k.begin()
		}
		visit, end := context.WithTimeout(ctx, stay/4+time.Duration(k.rng.Int64N(int64(stay))))
		var err error
		switch k.transport {
		case "ws":
			err = k.overWebSocket(visit)
		case "sse":
			err = k.overStream(visit)
		default:
			err = k.overPolls(visit)
		}
		over := visit.Err() != nil
		end()
		if b := breach(""); err != nil && (!over || errors.As(err, &b)) {
			k.rec.note("keeper "+k.transport, err)
		}
		wait(ctx, time.Duration(k.rng.IntN(100))*time.Millisecond)
	}
}

// begin has the keeper begin anew. A stream cannot say what its client has seen, so one forgets what it knew.
func (k *keeper) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.position, k.seq, k.window = "0", 0, make(fold)
	if k.transport == "sse" || k.dropped == nil {
		k.dropped = make(map[int64]bool)
	}
}

func (k *keeper) at() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seq
}

// differs says where what it folded differs from what the log folds to.
func (k *keeper) differs(want fold) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.window.differs(want)
}

func (k *keeper) where() (position string, most int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.position, k.most
}

// take folds a page, and holds it against the deletes that the keeper knows of: those of the page itself count, since
// a page is of one moment.
func (k *keeper) take(node string, p changedPage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range p.Events {
		if e.Type == "delete" {
			k.dropped[e.targets()] = true
		}
	}
	for _, e := range p.Events {
		of := e.Seq
		if e.Type == "edit" {
			of = e.targets()
		}
		if (e.Type == "message" || e.Type == "edit") && k.dropped[of] && e.has() {
			k.rec.violation(fmt.Errorf("CHG-8: node %s gives a message over %s to who was given its delete", node, k.transport))
		}
		k.window.apply(e)
	}
	k.position, k.seq, k.most = p.Position, p.Seq, max(k.most, p.Seq)
}

func (k *keeper) overWebSocket(ctx context.Context) error {
	at := k.moves()
	position, most := k.where()
	join := map[string]any{"op": "join", "id": 1, "room": k.room, "position": position, "seen": most}
	return converse(ctx, at.addr, k.token, []map[string]any{join}, func(_ *websocket.Conn, text []byte) error {
		var p changedPage
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		switch {
		case p.Op == "reset" || p.Reset != nil: // another epoch: the same room from its beginning
			k.begin()
			return fmt.Errorf("reset %s", p.Reason)
		case p.Op == "joined":
			k.take(at.node, *p.Page)
		case p.Op == "page":
			k.take(at.node, p)
		case p.Op == "error":
			return fmt.Errorf("join: %s", p.Code)
		}
		return nil
	})
}

func (k *keeper) overStream(ctx context.Context) error {
	at := k.moves()
	position, _ := k.where()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.addr+"/v1/sse?room="+url.QueryEscape(k.room), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+k.token)
	req.Header.Set("Last-Event-ID", position)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return statusError("stream", resp.StatusCode)
	}
	return readStream(resp.Body, func() {}, func(name, _, data string) error {
		var p changedPage
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return err
		}
		switch name {
		case "page":
			k.take(at.node, p)
		case "reset":
			k.begin()
			return fmt.Errorf("reset %s", p.Reason)
		}
		return nil
	}, func(int64) {})
}

func (k *keeper) overPolls(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * quiet}
	for ctx.Err() == nil {
		at := k.moves()
		position, most := k.where()
		status, text, err := request(ctx, client, http.MethodGet, fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%s&seen=%d&limit=%d&wait=1",
			at.addr, k.room, url.QueryEscape(position), most, 1+k.rng.IntN(200)), k.token, nil)
		if err != nil {
			return err
		}
		switch status {
		case http.StatusOK:
		case http.StatusGone:
			k.begin()
			return errors.New("reset")
		default:
			return statusError("poll", status)
		}
		var p changedPage
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		k.take(at.node, p)
	}
	return ctx.Err()
}

// historian asks for the present content of a room, and searches it, again and again: what was deleted before a request
// began is in no answer to it, by any node (CHG-7, CHG-9, FIND-5).
func historian(ctx context.Context, room, token string, rec *recorder, l *ledger, rng *rand.Rand, moves func() door) {
	client := &http.Client{Timeout: quiet}
	for ; ctx.Err() == nil; wait(ctx, changePace) {
		at, began := moves(), history.Now()
		path := "/v1/rooms/" + room + "/events?before=1000000&limit=500"
		if rng.IntN(3) == 0 {
			path = "/v1/rooms/" + room + "/search?q=zap&limit=100"
		}
		status, text, err := request(ctx, client, http.MethodGet, "http://"+at.addr+path, token, nil)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			rec.note("historian", err)
		case status != http.StatusOK:
			rec.note("historian", statusError("history", status))
		case len(l.ghosts(text, began)) > 0:
			rec.violation(fmt.Errorf("CHG-7: node %s answers %.40s by what was deleted before", at.node, path))
		default:
			l.mu.Lock()
			l.reads++
			l.mu.Unlock()
		}
	}
}

// fold is the present content of a room, by the seqs of its messages, as a client makes it from the events (CHG-5, CHG-6, CHG-7).
type fold map[int64]*folded

type folded struct {
	author    string
	data      string
	edited    int64
	deleted   bool
	reactions map[string]map[string]bool // users, by emoji
}

func (f fold) apply(e changedEvent) {
	row := f[e.Target]
	switch {
	case e.Type == "message":
		f[e.Seq] = &folded{author: e.Author, data: string(e.Data), deleted: e.Deleted != nil, reactions: make(map[string]map[string]bool)}
	case row == nil || row.deleted:
	case e.Type == "delete":
		*row = folded{author: row.author, data: "null", deleted: true}
	case e.Type == "edit" && e.has():
		var edit struct {
			Data json.RawMessage `json:"data"`
		}
		_ = json.Unmarshal(e.Data, &edit) // it was stored, so it is one
		row.data, row.edited = string(edit.Data), e.Seq
	case e.Type == "reaction":
		var r struct {
			Emoji  string `json:"emoji"`
			Remove bool   `json:"remove"`
		}
		_ = json.Unmarshal(e.Data, &r)
		if row.reactions[r.Emoji] == nil {
			row.reactions[r.Emoji] = make(map[string]bool)
		}
		if row.reactions[r.Emoji][e.Author] = true; r.Remove {
			delete(row.reactions[r.Emoji], e.Author)
		}
	}
}

// says is the row as text, to compare with.
func (r *folded) says() string {
	if r == nil {
		return "nothing"
	}
	text := fmt.Sprintf("%s edited %d deleted %v", r.data, r.edited, r.deleted)
	for _, emoji := range slices.Sorted(maps.Keys(r.reactions)) {
		if users := slices.Sorted(maps.Keys(r.reactions[emoji])); len(users) > 0 {
			text += fmt.Sprintf(" %s %v", emoji, users)
		}
	}
	return text
}

// shownAs is a message of present content (CHG-9) as a row.
func (e *changedEvent) shownAs() *folded {
	row := &folded{data: string(e.Data), deleted: e.Deleted != nil, reactions: make(map[string]map[string]bool)}
	if e.Edited != nil {
		row.edited = e.Edited.Seq
	}
	for _, r := range e.Reactions {
		row.reactions[r.Emoji] = make(map[string]bool)
		for _, user := range r.Users {
			row.reactions[r.Emoji][user] = true
		}
	}
	return row
}

// differs says where two folds differ; "": nowhere.
func (f fold) differs(other fold) string {
	for _, seq := range slices.Sorted(maps.Keys(f)) {
		if mine, theirs := f[seq].says(), other[seq].says(); mine != theirs {
			return fmt.Sprintf("message %d: %s, and %s", seq, mine, theirs)
		}
	}
	if len(f) != len(other) {
		return fmt.Sprintf("%d messages, and %d", len(f), len(other))
	}
	return ""
}
