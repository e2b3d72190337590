package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// marks are what a user has marked in a room, as far as their clients know.
type marks struct {
	mu               sync.Mutex
	read, delivered  int64 // the highest that were acked
	tried, triedOver int64 // the highest that were sent at all: read, delivered
	acked            int
}

func (m *marks) try(read, delivered int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried, m.triedOver = max(m.tried, read), max(m.triedOver, delivered, read)
}

// ack takes an answer to marks that were tried.
func (m *marks) ack(read, delivered int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked++
	m.read, m.delivered = max(m.read, read), max(m.delivered, delivered, read)
}

// marked is where a user stands (RCPT-4).
type marked struct {
	Op          string `json:"op"`
	ID          int64  `json:"id"`
	Code        string `json:"code"`
	Read        int64  `json:"read"`
	Delivered   int64  `json:"delivered"`
	Head        int64  `json:"head"`
	Unread      int64  `json:"unread"`
	More        bool   `json:"more"`
	FirstUnread int64  `json:"first_unread"`
	Mentions    int64  `json:"mentions"`
}

// reader is one of several tabs of a user that marks at random: ahead, behind, and again.
type reader struct {
	user, token, room string
	rec               *recorder
	marks             *marks
	rng               *rand.Rand
	moves             func() door

	mu   sync.Mutex
	head int64
	last marked // what it was told last
}

func (r *reader) told() marked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// run marks until stop is closed, and listens until ctx ends.
func (r *reader) run(ctx context.Context, stop <-chan struct{}) {
	for ctx.Err() == nil {
		if err := r.visit(ctx, stop); ctx.Err() == nil {
			r.rec.note("reader", err)
		}
		wait(ctx, time.Duration(r.rng.IntN(100))*time.Millisecond)
	}
}

// sentMark is what was marked, while the head was known to be so far at least: a mark beyond the head stands for the head (RCPT-1).
type sentMark struct{ read, delivered, head int64 }

func (r *reader) visit(ctx context.Context, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	var marking sync.WaitGroup
	defer marking.Wait()
	defer cancel()
	var mu sync.Mutex
	sent := make(map[int64]sentMark)
	mark := func(conn *websocket.Conn) {
		for id := int64(2); !closed(stop) && ctx.Err() == nil; id++ {
			one := r.draw()
			mu.Lock()
			sent[id] = one
			mu.Unlock()
			r.marks.try(one.read, one.delivered)
			if writeJSON(ctx, conn, map[string]any{"op": "read", "id": id, "room": r.room, "read": one.read, "delivered": one.delivered}) != nil {
				return
			}
			wait(ctx, changePace)
		}
	}
	join := map[string]any{"op": "join", "id": 1, "room": r.room, "with": []string{"receipts"}, "present": false}
	return converse(ctx, r.moves().addr, r.token, []map[string]any{join}, func(conn *websocket.Conn, text []byte) error {
		var m marked
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		switch m.Op {
		case "joined":
			r.follow(m.Head)
			marking.Go(func() { mark(conn) })
		case "marked":
			r.follow(m.Head)
			mu.Lock()
			one, mine := sent[m.ID]
			mu.Unlock()
			r.hold(m, one, mine)
		case "error":
			if m.ID == 0 || m.Code == "unavailable" || m.Code == "outcome_unknown" || m.Code == "going_away" || m.Code == "overloaded" {
				return nil
			}
			return breach(fmt.Sprintf("RCPT-2: a mark is refused: %s", m.Code))
		}
		return nil
	})
}

// hold takes where the user stands; mine: in answer to a mark of this tab.
func (r *reader) hold(m marked, one sentMark, mine bool) {
	if mine {
		r.marks.ack(min(one.read, one.head), min(one.delivered, one.head))
	}
	if mine && (m.Read < min(one.read, one.head) || m.Delivered < m.Read) {
		r.rec.violation(fmt.Errorf("RCPT-1: %d was marked, and the answer says %d of %d", one.read, m.Read, m.Head))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Read >= r.last.Read && m.Delivered >= r.last.Delivered {
		r.last = m
	}
}

func (r *reader) follow(head int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head = max(r.head, head)
}

// draw is a mark that is mostly late, now and then the same again, and sometimes beyond the head.
func (r *reader) draw() sentMark {
	r.mu.Lock()
	head := r.head
	r.mu.Unlock()
	read := r.rng.Int64N(head/2 + 6)
	return sentMark{read: read, delivered: read + r.rng.Int64N(4), head: head}
}

// judgeMarks holds what every node and tab says of each user against what the log says: the log is in the fold, with the authors.
func (c *cluster) judgeMarks(ctx context.Context, finals map[string]fold) error {
	client := &http.Client{Timeout: 2 * quiet}
	acked := 0
	for _, r := range c.changes.readers {
		r.marks.mu.Lock()
		read, delivered, tried, triedOver := r.marks.read, r.marks.delivered, r.marks.tried, r.marks.triedOver
		acked += r.marks.acked
		r.marks.mu.Unlock()
		var first marked
		for _, n := range c.nodes {
			status, text, err := insist(ctx, client, http.MethodPut, "/v1/rooms/"+r.room+"/receipt", r.token, map[string]any{"read": 0}, func() door { return door{n.addr, n.name} })
			if err != nil {
				return err
			}
			var m marked
			if err := json.Unmarshal(text, &m); err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d: %w", status, err)
			}
			if m.Read < read || m.Read > tried || m.Delivered < delivered || m.Delivered > triedOver {
				c.problem("I22: node %s says that %s has read %d and received %d; acked were %d and %d, tried %d and %d",
					n.name, r.user, m.Read, m.Delivered, read, delivered, tried, triedOver)
			}
			if first.Head == 0 {
				first = m
			}
			if m != first {
				c.problem("I22: node %s says %+v of %s, another %+v", n.name, m, r.user, first)
			}
			unread, from := finals[r.room].unread(r.user, m.Read)
			if m.Unread != min(unread, 999) || m.More != (unread > 999) || m.FirstUnread != from {
				c.problem("I22: node %s says that %s, who has read %d, has %d unread from %d on; the log has %d from %d on",
					n.name, r.user, m.Read, m.Unread, m.FirstUnread, unread, from)
			}
		}
		over := time.Now().Add(mendedWithin + busy)
		for told := r.told(); told.Read != first.Read || told.Delivered != first.Delivered; told = r.told() {
			if time.Now().After(over) {
				c.problem("I22: a tab of %s was told %d and %d at last, not %d and %d", r.user, told.Read, told.Delivered, first.Read, first.Delivered)
				break
			}
			wait(ctx, 20*time.Millisecond)
		}
	}
	if acked == 0 {
		c.problem("I22: no mark was acked")
	}
	c.logf("receipts: %d marks acked to %d tabs", acked, len(c.changes.readers))
	return nil
}

// unread counts the messages of others after a mark that are not deleted, and says which is the first.
func (f fold) unread(user string, read int64) (n, first int64) {
	for seq, row := range f {
		if seq > read && row.author != user && !row.deleted {
			if n++; first == 0 || seq < first {
				first = seq
			}
		}
	}
	return n, first
}

// castReaders makes two tabs each of users who only read, and of one who writes as well.
func (c *cluster) castReaders() error {
	room := changedRoom(0)
	users := []string{hush + "-reader-0", hush + "-reader-1", c.changes.changers[0].name}
	for _, user := range users {
		token, err := c.peopleToken(user)
		if err != nil {
			return err
		}
		m := new(marks)
		for range 2 {
			rng := c.draw()
			c.changes.readers = append(c.changes.readers, &reader{user: user, token: token, room: room, rec: c.rec, marks: m, rng: rng, moves: rounds(rng, c.doors())})
		}
	}
	return nil
}
