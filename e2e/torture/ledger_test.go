package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"sync"
	"time"

	"roomlog/history"
)

// changedEvent is an event of a room whose messages change (rules CHG-1, CHG-7, CHG-9).
type changedEvent struct {
	Seq       int64           `json:"seq"`
	Type      string          `json:"type"`
	Author    string          `json:"author"`
	At        time.Time       `json:"at"`
	Data      json.RawMessage `json:"data"`
	Target    int64           `json:"target"`
	Deleted   *struct{}       `json:"deleted"`
	Edited    *edited         `json:"edited"`
	Reactions []reaction      `json:"reactions"`
}

// targets is the message that a change is of, by its own data where that has a seq.
func (e *changedEvent) targets() int64 {
	var data struct {
		Target json.RawMessage `json:"target"`
	}
	var seq int64
	if json.Unmarshal(e.Data, &data) == nil && json.Unmarshal(data.Target, &seq) == nil && seq > 0 {
		return seq
	}
	return e.Target
}

type edited struct {
	Seq int64 `json:"seq"`
}

type reaction struct {
	Emoji string   `json:"emoji"`
	Count int      `json:"count"`
	Users []string `json:"users"`
}

// has reports whether the event has data that a reader could see.
func (e *changedEvent) has() bool { return len(e.Data) > 0 && string(e.Data) != "null" }

// A word is a canary: each message and each edit has one of its own, which is in nothing else.
var wordPattern = regexp.MustCompile(`zap[0-9a-f]{16}`)

func newWord(rng *rand.Rand) string { return fmt.Sprintf("zap%016x", rng.Uint64()) }

func saying(word string) json.RawMessage { return json.RawMessage(`{"text":"` + word + `"}`) }

// said is a message that was acked.
type said struct {
	room, author, tag string
	seq               int64
	data              json.RawMessage
	words             []string // its own and those of its edits; the last is what it says now
}

// ledger is what was said in the rooms whose messages change, and what of it may be read no more. It is written by acks
// alone, so a word that is in it as gone was deleted for every request that begins later.
type ledger struct {
	mu    sync.Mutex
	gone  map[string]int64 // when the delete of the word was acked, on the clock of the history
	keeps []*said          // that nobody asked to delete
	dead  []*said

	edits, deletes, repeats, reads int // what was tried
}

func newLedger() *ledger { return &ledger{gone: make(map[string]int64)} }

// buried says that a delete of the message was acked.
func (l *ledger) buried(m *said) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deletes++
	l.dead = append(l.dead, m)
	for _, word := range m.words {
		l.gone[word] = history.Now()
	}
}

// ghosts are the words in a text that were deleted before a time; 0: at any.
func (l *ledger) ghosts(text []byte, before int64) (found []string) {
	words := wordPattern.FindAll(text, -1)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, word := range words {
		if at, gone := l.gone[string(word)]; gone && (before == 0 || at < before) {
			found = append(found, string(word))
		}
	}
	return found
}

// request makes one request of a node. body nil: it has none.
func request(ctx context.Context, client *http.Client, method, url, token string, body any) (status int, text []byte, err error) {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, sent)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// insist makes a request of one node after the other until it is answered for good: not by a refusal that may pass.
func insist(ctx context.Context, client *http.Client, method, path, token string, body any, moves func() door) (status int, text []byte, err error) {
	for over := time.Now().Add(settle); ; wait(ctx, 50*time.Millisecond) {
		status, text, err = request(ctx, client, method, "http://"+moves().addr+path, token, body)
		if err == nil && status != http.StatusTooManyRequests && status < http.StatusInternalServerError {
			return status, text, nil
		}
		if ctx.Err() != nil || time.Now().After(over) {
			return status, text, fmt.Errorf("%s %s is not answered: status %d: %w", method, path, status, err)
		}
	}
}

// changer says things in a room and has some of them edited, reacted to and deleted, each by another node than the one before.
type changer struct {
	name, token         string
	moderator, modToken string
	room                string
	rec                 *recorder
	ledger              *ledger
	rng                 *rand.Rand
	doors               []door

	moves  func() door
	client *http.Client
	mine   []*said // not deleted
}

// changePace is between two doings of a changer.
const changePace = 150 * time.Millisecond

func (c *changer) run(ctx context.Context, stop <-chan struct{}) {
	c.client, c.moves = &http.Client{Timeout: quiet}, rounds(c.rng, c.doors)
	for !closed(stop) && ctx.Err() == nil {
		var err error
		switch n := c.rng.IntN(10); {
		case n < 4 || len(c.mine) == 0:
			err = c.say(ctx)
		case n < 6:
			err = c.edit(ctx, c.one())
		case n < 7:
			err = c.react(ctx, c.one())
		default:
			err = c.delete(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.rec.note("changes", err)
		}
		wait(ctx, changePace)
	}
	c.ledger.mu.Lock()
	c.ledger.keeps = append(c.ledger.keeps, c.mine...)
	c.ledger.mu.Unlock()
}

func (c *changer) one() *said { return c.mine[c.rng.IntN(len(c.mine))] }

// who is the author or the moderator.
func (c *changer) who() string {
	if c.rng.IntN(2) == 0 {
		return c.token
	}
	return c.modToken
}

type changeAnswer struct {
	Seq       int64     `json:"seq"`
	Code      string    `json:"code"`
	Duplicate bool      `json:"duplicate"`
	Deleted   *struct{} `json:"deleted"`
}

// put sends an event until it is stored; refusals of the codes in may are answers as well.
func (c *changer) put(ctx context.Context, token, tag, typ string, data any, may ...string) (a changeAnswer, text []byte, err error) {
	status, text, err := insist(ctx, c.client, http.MethodPost, "/v1/rooms/"+c.room+"/events", token,
		map[string]any{"tag": tag, "type": typ, "data": data}, c.moves)
	if err != nil {
		return a, nil, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, nil, err
	}
	if status > http.StatusCreated {
		for _, code := range may {
			if a.Code == code {
				return a, text, nil
			}
		}
		return a, text, breach(fmt.Sprintf("CHG: a %s is refused: status %d, %s", typ, status, a.Code))
	}
	return a, text, nil
}

func (c *changer) say(ctx context.Context) error {
	m := &said{room: c.room, author: c.name, tag: newTag(), words: []string{newWord(c.rng)}}
	m.data = saying(m.words[0])
	a, _, err := c.put(ctx, c.token, m.tag, "message", m.data)
	if err != nil {
		return err
	}
	m.seq = a.Seq
	c.mine = append(c.mine, m)
	return nil
}

func (c *changer) edit(ctx context.Context, m *said) error {
	word := newWord(c.rng)
	var target any = m.seq
	token := c.who()
	if token == c.token && c.rng.IntN(2) == 0 {
		target = m.tag
	}
	if _, _, err := c.put(ctx, token, newTag(), "edit", map[string]any{"target": target, "data": saying(word)}); err != nil {
		return err
	}
	m.words = append(m.words, word)
	c.ledger.mu.Lock()
	c.ledger.edits++
	c.ledger.mu.Unlock()
	return nil
}

func (c *changer) react(ctx context.Context, m *said) error {
	data := map[string]any{"target": m.seq, "emoji": []string{"👍", "🎉"}[c.rng.IntN(2)]}
	if c.rng.IntN(3) == 0 {
		data["remove"] = true
	}
	_, _, err := c.put(ctx, c.who(), newTag(), "reaction", data)
	return err
}

// delete deletes one of the messages, half of the time while an edit of it is on its way by another node, and has its
// send repeated then: the answer is the tombstone, and another body is still another body (CHG-7, TAG-3, TAG-4).
func (c *changer) delete(ctx context.Context) error {
	i := c.rng.IntN(len(c.mine))
	m := c.mine[i]
	c.mine = append(c.mine[:i:i], c.mine[i+1:]...)
	var editing sync.WaitGroup
	raced := make(chan error, 1)
	if c.rng.IntN(2) == 0 {
		word := newWord(c.rng)
		m.words = append(m.words, word)
		token := c.who()
		other := &changer{room: c.room, client: c.client, moves: rounds(c.rng, c.doors)}
		editing.Go(func() {
			_, _, err := other.put(ctx, token, newTag(), "edit", map[string]any{"target": m.seq, "data": saying(word)}, "unknown_target")
			raced <- err
		})
	} else {
		raced <- nil
	}
	_, _, err := c.put(ctx, c.who(), newTag(), "delete", map[string]any{"target": m.seq})
	if err != nil {
		editing.Wait()
		return err
	}
	c.ledger.buried(m)
	editing.Wait()
	if err := <-raced; err != nil {
		return err
	}
	return c.repeat(ctx, m)
}

func (c *changer) repeat(ctx context.Context, m *said) error {
	a, text, err := c.put(ctx, c.token, m.tag, "message", m.data)
	if err != nil {
		return err
	}
	if a.Seq != m.seq || !a.Duplicate || a.Deleted == nil || len(c.ledger.ghosts(text, 0)) > 0 {
		return breach(fmt.Sprintf("CHG-7: a repeat of a deleted send is answered by %.300s", text))
	}
	a, _, err = c.put(ctx, c.token, m.tag, "message", saying(newWord(c.rng)), "tag_conflict")
	if err != nil {
		return err
	}
	if a.Code != "tag_conflict" {
		return breach(fmt.Sprintf("TAG-4: another body under the tag of a deleted send is answered by %q", a.Code))
	}
	c.ledger.mu.Lock()
	c.ledger.repeats++
	c.ledger.mu.Unlock()
	return nil
}

// sets are the keys that an event of the type state sets.
func (e *changedEvent) sets() (keys map[string]rawText) {
	_ = json.Unmarshal(e.Data, &keys) // it was stored, so it is one
	return keys
}
