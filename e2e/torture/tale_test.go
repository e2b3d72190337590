package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// streamLease is how long a producer may say nothing (PART-5), which every node tells.
const streamLease = 10 * time.Second

// How tales end.
const (
	taleFinished  = "finished"  // with the text that parts brought
	taleReplaced  = "replaced"  // with data of its own, and that text
	taleAborted   = "aborted"   // by its producer
	taleAbandoned = "abandoned" // nothing more is said of it
	taleDeleted   = "deleted"   // the message is
	taleLost      = "lost"      // its lease has ended, although it was to go on
)

// tale is a message that streams. Its whole text is known before it begins, so that whoever has some of it can be held against it.
type tale struct {
	id, tag, room string
	begins        string // the text that the message begins with
	whole         string // what parts bring
	fate          string // how it is meant to end

	// The lock of its tales guards these.
	seq    int64     // 0: nobody has answered that it began
	said   int       // bytes that some request brought
	kept   int       // bytes that were answered to be on durable storage
	heard  time.Time // when it was heard of last, by the answer to a part
	silent time.Time // when its producer gave it up
	ended  string    // how it ended, as its producer was told; "": it was given up, or nobody answered
	end    int64     // the seq of that
}

// tales are all that was told in a run, and what was tried.
type tales struct {
	mu   sync.Mutex
	byID map[string]*tale

	parts, behind  int // parts that were said; answers that a node has less than was said before
	heard, resumed int // frames of readers; those that went on, at another node, behind what their reader brought
}

func newTales() *tales { return &tales{byID: make(map[string]*tale)} }

func (l *tales) find(id string) *tale {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

func (l *tales) count(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

// write makes a tale of so many words, each of which is in no other place: a hole, a repeat or a shift shows wherever it is.
func (l *tales) write(rng *rand.Rand, room, canary, fate string, words int) *tale {
	s := &tale{id: fmt.Sprintf("tale-%08x", rng.Uint32()), tag: newTag(), room: room, fate: fate}
	s.begins = []string{"", "So: ", "Ü🙂 "}[rng.IntN(3)]
	var b strings.Builder
	for i := range words {
		fmt.Fprintf(&b, "%s%s%d%s ", s.id, []string{"é", "漢", "🙂", "z"}[rng.IntN(4)], i, strings.Repeat("\n\"", rng.IntN(2)))
		if i%16 == 0 {
			b.WriteString(canary + " ")
		}
	}
	s.whole = b.String()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byID[s.id] = s
	return s
}

// teller has messages stream, one after the other: of some each request goes to another node than the one before, as behind a balancer that
// deals requests; of others only where a node does not answer.
type teller struct {
	name, token, room string
	canary            string // that is in all texts
	roams             bool
	rec               *recorder
	tales             *tales
	rng               *rand.Rand
	moves             func() door

	client *http.Client
	at     door
}

// tellPace is between two parts of a tale, about.
const tellPace = 100 * time.Millisecond

// run tells until stop is closed; of what it tells then it says the rest at once.
func (t *teller) run(ctx context.Context, stop <-chan struct{}) {
	t.client = &http.Client{Timeout: quiet}
	fates := []string{taleAbandoned, taleFinished, taleReplaced, taleAborted, taleFinished, taleDeleted} // a slow machine comes to few
	for i := 0; !closed(stop) && ctx.Err() == nil; i++ {
		words := 5 + t.rng.IntN(60)
		if t.rng.IntN(8) == 0 {
			words = 600 // frames of readers have 8 KiB
		}
		s := t.tales.write(t.rng, t.room, t.canary, fates[i%len(fates)], words)
		if err := t.tell(ctx, s, stop); err != nil && ctx.Err() == nil {
			t.rec.note("teller", err)
		}
	}
}

func (t *teller) tell(ctx context.Context, s *tale, stop <-chan struct{}) error {
	if err := t.begin(ctx, s); err != nil {
		return err
	}
	upto := len(s.whole)
	if s.fate != taleFinished && s.fate != taleReplaced {
		upto = s.cut(t.rng.IntN(upto))
	}
	for end := 0; end < upto; {
		end = min(upto, s.cut(end+1+t.rng.IntN(max(2*len(s.whole)/30, 20))))
		if over, err := t.bring(ctx, s, end); err != nil || over {
			return err
		}
		if !closed(stop) {
			wait(ctx, time.Duration(t.rng.Int64N(int64(2*tellPace))))
		}
	}
	return t.finish(ctx, s, upto)
}

// cut is the first place from an offset on that cuts no character.
func (s *tale) cut(offset int) int {
	for offset < len(s.whole) && !utf8.RuneStart(s.whole[offset]) {
		offset++
	}
	return min(offset, len(s.whole))
}

// told is an answer to a teller.
type told struct {
	Seq       int64  `json:"seq"`
	LeaseMS   int64  `json:"lease_ms"`
	Offset    int    `json:"offset"`
	Kept      int    `json:"kept"`
	Code      string `json:"code"`
	Limit     int    `json:"limit"`
	Duplicate bool   `json:"duplicate"`
}

// ask makes a request of a tale until it is answered for good.
func (t *teller) ask(ctx context.Context, method, path string, body any) (status int, a told, err error) {
	tries := 0
	status, text, err := insist(ctx, t.client, method, "/v1/rooms/"+t.room+path, t.token, body, func() door {
		if tries++; t.roams || tries > 1 || t.at.addr == "" {
			t.at = t.moves()
		}
		return t.at
	})
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return status, a, err
}

func (t *teller) begin(ctx context.Context, s *tale) error {
	status, a, err := t.ask(ctx, http.MethodPost, "/streams", map[string]any{"tag": s.tag, "data": map[string]any{"text": s.begins, "tale": s.id}})
	switch {
	case err != nil:
		return err
	case status > http.StatusCreated || a.LeaseMS != streamLease.Milliseconds():
		return breach(fmt.Sprintf("PART-1: a beginning is answered by %d, %+v", status, a))
	}
	t.tales.mu.Lock()
	defer t.tales.mu.Unlock()
	s.seq, s.heard = a.Seq, time.Now()
	return nil
}

func (s *tale) path() string { return fmt.Sprintf("/streams/%d", s.seq) }

// bring says what there is up to an offset, until a node has it; now and then more than is asked for, and from farther back. over: the
// message takes no more.
func (t *teller) bring(ctx context.Context, s *tale, end int) (over bool, err error) {
	at := 0
	for from := s.said; at < end; from = at {
		if t.rng.IntN(6) == 0 {
			from = s.cut(t.rng.IntN(from + 1))
		}
		t.tales.mu.Lock()
		s.said = max(s.said, end)
		t.tales.parts++
		t.tales.mu.Unlock()
		asked := time.Now()
		status, a, err := t.ask(ctx, http.MethodPost, s.path(), map[string]any{"offset": from, "text": s.whole[from:end]})
		if err != nil {
			return false, err
		}
		switch {
		case status == http.StatusOK:
			at = a.Offset
			if a.Offset < end || a.Offset > s.said || a.Kept > a.Offset {
				return false, breach(fmt.Sprintf("PART-2: of a text of which %d were said, up to %d now, a node says to have %d, and to keep %d", s.said, end, a.Offset, a.Kept))
			}
			t.tales.mu.Lock()
			s.kept, s.heard = max(s.kept, a.Kept), asked
			t.tales.mu.Unlock()
		case a.Code == "bad_position":
			at = a.Limit
			t.behind(s, a)
			wait(ctx, 10*time.Millisecond)
		case a.Code == "unknown_target":
			return true, t.lost(s, "a part")
		default:
			return false, breach(fmt.Sprintf("PART-2: a part is refused: status %d, %s", status, a.Code))
		}
	}
	return false, nil
}

// behind takes it that a node has less than was said: never less than was kept, which a producer need not know any more.
func (t *teller) behind(s *tale, a told) {
	t.tales.count(&t.tales.behind)
	if a.Limit < s.kept || a.Limit > s.said {
		t.rec.violation(errors.New("PART-2: a node asks again for what was kept, or for what nobody has said"))
	}
}

// lost says that a tale has ended that was to go on: by right only where nothing was heard of it for its lease (PART-5).
func (t *teller) lost(s *tale, what string) error {
	t.tales.mu.Lock()
	defer t.tales.mu.Unlock()
	s.ended = taleLost
	if silent := time.Since(s.heard); silent < streamLease-2*time.Second {
		return breach(fmt.Sprintf("PART-5: %s is refused, as if the message had ended, %v after one before it was taken", what, silent.Round(time.Millisecond)))
	}
	return nil
}

// finish ends a tale as is its fate, of which so much was brought.
func (t *teller) finish(ctx context.Context, s *tale, upto int) error {
	method, path, body := http.MethodPost, s.path()+"/finish", map[string]any{"offset": upto}
	switch s.fate {
	case taleAbandoned:
		t.tales.mu.Lock()
		defer t.tales.mu.Unlock()
		s.silent = time.Now()
		return nil
	case taleDeleted:
		return t.delete(ctx, s)
	case taleAborted:
		method, path, body = http.MethodDelete, s.path(), nil
	case taleReplaced:
		body["data"] = map[string]any{"tale": s.id, "words": 1}
	}
	status, a, err := t.ask(ctx, method, path, body)
	switch {
	case err != nil:
		return err
	case a.Code == "bad_position": // a node that took some of it is dead, or has not kept it yet
		t.behind(s, a)
		if over, err := t.bring(ctx, s, upto); err != nil || over {
			return err
		}
		return t.finish(ctx, s, upto)
	case a.Code == "unknown_target":
		return t.lost(s, "the end")
	case status > http.StatusCreated:
		return breach(fmt.Sprintf("PART-6: an end is refused: status %d, %s", status, a.Code))
	}
	t.tales.mu.Lock()
	s.ended, s.end = s.fate, a.Seq
	t.tales.mu.Unlock()
	return t.repeat(ctx, s)
}

// repeat ends a tale again, and goes on with it, by another node.
func (t *teller) repeat(ctx context.Context, s *tale) error {
	t.at = t.moves()
	method, path := http.MethodPost, s.path()+"/finish"
	if s.fate == taleAborted {
		method, path = http.MethodDelete, s.path()
	}
	status, a, err := t.ask(ctx, method, path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !a.Duplicate || a.Seq != s.end {
		return breach(fmt.Sprintf("PART-6: an end that was %d is answered, when it is repeated, by %d, %+v", s.end, status, a))
	}
	return t.refused(ctx, s, "PART-3: a message that has ended")
}

// refused waits until every part is refused: a node may not have heard yet (PART-4).
func (t *teller) refused(ctx context.Context, s *tale, what string) error {
	for over := time.Now().Add(tailBound); ; wait(ctx, tellPace) {
		t.at = t.moves()
		status, a, err := t.ask(ctx, http.MethodPost, s.path(), map[string]any{"offset": 0, "text": ""})
		if err != nil || a.Code == "unknown_target" {
			return err
		}
		if time.Now().After(over) {
			return breach(fmt.Sprintf("%s takes parts %v later: status %d, %s", what, tailBound, status, a.Code))
		}
	}
}

// delete deletes the message of a tale, which takes no parts soon after (PART-8).
func (t *teller) delete(ctx context.Context, s *tale) error {
	status, a, err := t.ask(ctx, http.MethodPost, "/events", map[string]any{"tag": newTag(), "type": "delete", "data": map[string]any{"target": s.seq}})
	switch {
	case err != nil:
		return err
	case status > http.StatusCreated:
		return breach(fmt.Sprintf("CHG: a delete is refused: status %d, %s", status, a.Code))
	}
	t.tales.mu.Lock()
	s.ended = taleDeleted
	t.tales.mu.Unlock()
	return t.refused(ctx, s, "PART-8: a message that is deleted")
}
