package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// listener follows a room with the texts of its messages that stream, and comes back to another node every moment: it says there what it
// has, as a stream cannot. What it has of a text is at every moment the beginning of what its producer has said (PART-2, PART-9).
type listener struct {
	name, transport, room, token string

	rec   *recorder
	tales *tales
	rng   *rand.Rand
	moves func() door

	mu       sync.Mutex
	position string
	texts    map[int64]*heard
}

// heard is what a listener has of a message.
type heard struct {
	tale  *tale // nil until the log has named it
	text  string
	most  int  // the most of it that it had at any time
	over  bool // the log has said how it ended
	fresh bool // nothing of it has come over this connection
}

// partFrame is a frame of a text, on a stream the data of an event (PART-9).
type partFrame struct {
	Seq    int64  `json:"seq"`
	Offset int    `json:"offset"`
	Text   string `json:"text"`
}

func (l *listener) run(ctx context.Context) {
	for ctx.Err() == nil {
		if l.position == "" || l.rng.IntN(4) == 0 {
			l.begin()
		}
		visit, end := context.WithTimeout(ctx, stay/4+time.Duration(l.rng.Int64N(int64(stay))))
		err := l.visit(visit)
		over := visit.Err() != nil
		end()
		if b := breach(""); err != nil && (!over || errors.As(err, &b)) {
			l.rec.note("listener "+l.transport, err)
		}
		wait(ctx, time.Duration(l.rng.IntN(100))*time.Millisecond)
	}
}

// begin has the listener know nothing.
func (l *listener) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position = "0"
	for _, h := range l.texts {
		*h = heard{tale: h.tale, most: h.most}
	}
}

// reached says how much of a message the listener had at any time, and whether it was told how it ended.
func (l *listener) reached(seq int64) (most int, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.texts[seq]; h != nil {
		return h.most, h.over
	}
	return 0, false
}

func (l *listener) of(seq int64) *heard {
	h := l.texts[seq]
	if h == nil {
		h = &heard{}
		l.texts[seq] = h
	}
	return h
}

// has is what a join says that the listener has of texts: of the latest, where there are more than it may name.
func (l *listener) has() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := make(map[string]int)
	for seq, h := range l.texts {
		if h.fresh = true; l.transport == "sse" {
			h.text = ""
		}
		if !h.over && h.text != "" {
			had[fmt.Sprint(seq)] = len(h.text)
		}
	}
	return had
}

// take takes a page: which messages stream, and which do no more.
func (l *listener) take(node string, p changedPage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range p.Events {
		switch e.Type {
		case "message":
			if h := l.of(e.Seq); h.tale == nil {
				h.tale = l.tales.find(e.tale())
			}
			l.hold(node, e.Seq)
		case "edit", "delete":
			h := l.of(e.targets())
			h.over, h.text = true, ""
		}
	}
	l.position = p.Position
}

// tale is which one a message tells.
func (e *changedEvent) tale() string {
	var data struct {
		Tale string `json:"tale"`
	}
	_ = json.Unmarshal(e.Data, &data) // a tombstone tells none
	return data.Tale
}

// part takes more of a text.
func (l *listener) part(node string, p partFrame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.of(p.Seq)
	had := len(h.text)
	switch {
	case h.over: // as it may (PART-9)
		return
	case p.Offset > had:
		l.rec.violation(fmt.Errorf("PART-9: node %s, over %s: more of a text comes, with a hole before it", node, l.transport))
		return
	case p.Offset < had:
		l.rec.violation(fmt.Errorf("PART-9: node %s, over %s: what a reader has of a text comes again", node, l.transport))
	}
	if h.fresh && p.Offset > 0 {
		l.tales.count(&l.tales.resumed)
	}
	h.fresh, h.text = false, h.text[:p.Offset]+p.Text
	l.tales.count(&l.tales.heard)
	l.hold(node, p.Seq)
}

// hold holds what there is of a text against what was said.
func (l *listener) hold(node string, seq int64) {
	h := l.texts[seq]
	if h.tale == nil {
		return
	}
	l.tales.mu.Lock()
	said := h.tale.said
	l.tales.mu.Unlock()
	if len(h.text) > said || !strings.HasPrefix(h.tale.whole, h.text) {
		l.rec.violation(fmt.Errorf("PART-2: node %s, over %s: what a reader has is not the beginning of what was said", node, l.transport))
	}
	h.most = max(h.most, len(h.text))
}

func (l *listener) visit(ctx context.Context) error {
	if l.transport == "sse" {
		return l.overStream(ctx)
	}
	return l.overWebSocket(ctx)
}

func (l *listener) overWebSocket(ctx context.Context) error {
	at, had := l.moves(), l.has()
	join := map[string]any{"op": "join", "id": 1, "room": l.room, "position": l.position, "with": []string{"parts"}, "parts": had, "present": false}
	return converse(ctx, at.addr, l.token, []map[string]any{join}, func(_ *websocket.Conn, text []byte) error {
		var f struct {
			changedPage
			Offset int    `json:"offset"`
			Text   string `json:"text"`
		}
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		switch {
		case f.Op == "reset" || f.Reset != nil: // another epoch: the same room from its beginning
			l.begin()
			return fmt.Errorf("reset %s", f.Reason)
		case f.Op == "joined":
			l.take(at.node, *f.Page)
		case f.Op == "page":
			l.take(at.node, f.changedPage)
		case f.Op == "part":
			l.part(at.node, partFrame{f.Seq, f.Offset, f.Text})
		case f.Op == "error":
			return fmt.Errorf("join: %s", f.Code)
		}
		return nil
	})
}

func (l *listener) overStream(ctx context.Context) error {
	at := l.moves()
	l.has()
	return followStream(ctx, "http://"+at.addr+"/v1/sse?with=parts&room="+url.QueryEscape(l.room), l.token, l.position, func(name, _, data string) error {
		var p changedPage
		var part partFrame
		if err := errors.Join(json.Unmarshal([]byte(data), &p), json.Unmarshal([]byte(data), &part)); err != nil {
			return err
		}
		switch name {
		case "page":
			l.take(at.node, p)
		case "part":
			l.part(at.node, part)
		case "reset":
			l.begin()
			return fmt.Errorf("reset %s", p.Reason)
		}
		return nil
	})
}
