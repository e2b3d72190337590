package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"roomlog/history"
)

// keeper follows a room whose messages change, folds what it is given, and comes back to another node every moment: from
// where it stood, or from the beginning. It holds that who was given a delete is given its message no more: from then on by
// no page of any node, as long as it says how far it has seen (CHG-7, CHG-8, NODE-4).
type keeper struct {
	cursor
	name string

	rec    *recorder
	ledger *ledger

	mu       sync.Mutex
	position string
	seq      int64 // where it stands
	most     int64 // the highest seq that it was given
	dropped  map[int64]bool
	window   fold
}

// stay is how long a keeper keeps a connection at most.
const stay = 2 * time.Second

func (k *keeper) run(ctx context.Context) {
	k.begin()
	for ctx.Err() == nil {
		if k.rng.IntN(2) == 0 {
			k.begin()
		}
		k.rec.visited("keeper "+k.transport, k.visit(ctx, stay/4+time.Duration(k.rng.Int64N(int64(stay)))))
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

func (k *keeper) visit(ctx context.Context, lasting time.Duration) error {
	return k.follow(ctx, lasting, k.where, k.take, k.begin)
}

func (k *keeper) where() place {
	k.mu.Lock()
	defer k.mu.Unlock()
	return place{position: k.position, seen: k.most}
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
