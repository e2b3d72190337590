package torture

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"roomlog/history"
)

// message is one event a writer wants in the log.
type message struct {
	room  string
	tag   string
	data  json.RawMessage
	order int64 // its place among the writer's messages

	attempt *history.Call // the one that is not answered yet; nil between attempts
	settled bool
}

// writer sends messages to a room until told to stop, over a WebSocket with several in flight, or over
// HTTP one at a time. Whatever is not answered is sent again with the same tag, and some of it although it
// is answered or on its way.
type writer struct {
	name      string
	transport string
	room      string
	base      string
	token     string
	rec       *recorder
	rng       *mrand.Rand
	moves     func() door // where the next connection or request goes; nil: base

	pace time.Duration // between messages; 0: none
	pad  int           // bytes that each message is longer by

	made    int64
	acked   int64      // the seq of the last that was acked over HTTP
	pending []*message // in order; over a WebSocket all of them in flight
	extra   sync.WaitGroup
}

const writerWindow = 8

// canaryData is in the data of every event that the writers send: no log, metric or error may have it.
const canaryData = "canary-data-5d41402abc4b"

func (w *writer) door() door {
	if w.moves != nil {
		return w.moves()
	}
	return door{addr: w.base}
}

// run writes until stop is closed and everything it began is settled, or until ctx ends.
func (w *writer) run(ctx context.Context, stop <-chan struct{}) {
	defer w.extra.Wait()
	for ctx.Err() == nil {
		var err error
		if w.transport == "ws" {
			err = w.overWebSocket(ctx, stop)
		} else {
			err = w.overHTTP(ctx, stop)
		}
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			w.rec.note(w.transport, err)
		}
		wait(ctx, time.Duration(w.rng.IntN(150))*time.Millisecond)
	}
}

func (w *writer) make() *message {
	w.made++
	return &message{
		room: w.room, tag: newTag(), order: w.made,
		data: json.RawMessage(fmt.Sprintf(`{"text":"%s %d %x%s"}`, canaryData, w.made, w.rng.Uint64(), strings.Repeat(".", w.pad))),
	}
}

func newTag() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// overWebSocket keeps several sends in flight. After a reconnect n starts at 1, and everything
// unanswered is sent again first, in order.
func (w *writer) overWebSocket(ctx context.Context, stop <-chan struct{}) error {
	at := w.door()
	conn, err := dialWebSocket(ctx, at.addr, w.token)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	defer func() {
		for _, m := range w.pending {
			m.lost()
		}
	}()
	slots := make(map[int64]*message) // by n, which is also the request id
	var next, hold int64 = 1, 0
	client := &http.Client{Timeout: quiet}
	send := func(n int64, m *message) error {
		slots[n] = m
		// The same event over another transport (TAG-6); being the first unanswered, it stays in order.
		if len(w.pending) > 0 && m == w.pending[0] && w.rng.IntN(8) == 0 {
			w.postToo(ctx, client, m)
		}
		m.attempt = w.rec.invoke(w, m, at.node)
		return writeJSON(ctx, conn, map[string]any{"op": "send", "id": n, "n": n, "room": m.room, "tag": m.tag, "type": "message", "data": m.data})
	}
	for _, m := range w.pending {
		if err := send(next, m); err != nil {
			return err
		}
		next++
	}
	for {
		for !closed(stop) && hold == 0 && len(w.pending) < writerWindow {
			m := w.make()
			w.pending = append(w.pending, m)
			if err := send(next, m); err != nil {
				return err
			}
			next++
		}
		if len(w.pending) == 0 {
			return nil
		}
		if err := w.answer(ctx, conn, at.node, slots, &hold, send); err != nil {
			return err
		}
		wait(ctx, w.pace)
	}
}

// answer reads one frame. A send refused retryably is sent again with its n; the ones behind it, refused
// as out_of_order, follow it.
func (w *writer) answer(ctx context.Context, conn *websocket.Conn, node string, slots map[int64]*message, hold *int64, send func(int64, *message) error) error {
	fr, err := readFrame(ctx, conn, func() error { return writeJSON(ctx, conn, map[string]any{"op": "ping"}) })
	if err != nil {
		return closing(err)
	}
	m := slots[fr.ID]
	if m == nil || m.attempt == nil {
		return nil
	}
	if fr.Op == "error" {
		w.rec.refused(node, fr.Code, fr.Title)
	}
	switch {
	case fr.Op == "ack":
		m.attempt.OK(fr.Epoch, fr.Seq)
		m.attempt = nil
		if m.settled {
			return nil
		}
		w.settle(m)
		if w.rng.IntN(16) == 0 { // an n that is used up, answered by its tag (SEND-6)
			if err := send(fr.ID, m); err != nil {
				return err
			}
		}
		if *hold == fr.ID {
			*hold = 0
			return w.resendAfter(fr.ID, slots, send)
		}
	case fr.Op == "error" && m.settled:
		m.refused(fr.Code)
		if !fr.Retryable {
			return refusal("repeat of an acked send", fr)
		}
	case fr.Op == "error" && fr.Code == "out_of_order":
		m.refused(fr.Code)
	case fr.Op == "error" && fr.Retryable:
		m.refused(fr.Code)
		if *hold == 0 || fr.ID < *hold {
			*hold = fr.ID
		}
		if fr.ID != *hold {
			return nil
		}
		wait(ctx, min(time.Duration(fr.RetryMS)*time.Millisecond, 100*time.Millisecond))
		return send(fr.ID, m)
	case fr.Op == "error":
		m.refused(fr.Code)
		return refusal("send", fr)
	}
	return nil
}

func (w *writer) resendAfter(n int64, slots map[int64]*message, send func(int64, *message) error) error {
	for n++; slots[n] != nil; n++ {
		if m := slots[n]; !m.settled && m.attempt == nil {
			if err := send(n, slots[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost ends an attempt whose answer will not come.
func (m *message) lost() {
	if m.attempt != nil {
		m.attempt.Unknown("")
		m.attempt = nil
	}
}

// refused ends an attempt that was refused retryably. Only outcome_unknown leaves open whether it stored
// the event.
func (m *message) refused(code string) {
	if m.attempt == nil {
		return
	}
	if code == "outcome_unknown" {
		m.attempt.Unknown(code)
	} else {
		m.attempt.Fail(code)
	}
	m.attempt = nil
}

func (w *writer) settle(m *message) {
	m.settled = true
	for len(w.pending) > 0 && w.pending[0].settled {
		w.pending = w.pending[1:]
	}
}

// overHTTP sends one message at a time (rule HTTP-4); one in four is sent twice or thrice at once and some up to ten
// times, over both transports, as a nervous client or proxy would (I7).
func (w *writer) overHTTP(ctx context.Context, stop <-chan struct{}) error {
	client := &http.Client{Timeout: quiet}
	for {
		if len(w.pending) == 0 {
			if closed(stop) {
				return nil
			}
			w.pending = append(w.pending, w.make())
		}
		m := w.pending[0]
		extra := w.rng.IntN(8) - 5
		if w.rng.IntN(16) == 0 {
			extra = 2 + w.rng.IntN(8)
		}
		for ; extra > 0; extra-- {
			if w.rng.IntN(3) == 0 {
				w.socketToo(ctx, m)
			} else {
				w.postToo(ctx, client, m)
			}
		}
		seq, err := w.post(ctx, client, w.door(), m)
		if err != nil {
			return err
		}
		w.acked = seq
		w.settle(m)
		if w.rng.IntN(8) == 0 {
			if err := w.lookAfter(ctx, client); err != nil {
				return err
			}
		}
		wait(ctx, w.pace)
	}
}

// postToo posts m besides, whoever else sends it.
func (w *writer) postToo(ctx context.Context, client *http.Client, m *message) {
	at := w.door()
	w.extra.Go(func() {
		if _, err := w.post(ctx, client, at, m); err != nil && ctx.Err() == nil {
			w.rec.note("http", err)
		}
	})
}

// socketToo sends m over a WebSocket of its own besides, whoever else sends it.
func (w *writer) socketToo(ctx context.Context, m *message) {
	at := w.door()
	w.extra.Go(func() {
		if err := w.overItsOwn(ctx, at, m); err != nil && ctx.Err() == nil {
			w.rec.note("ws", err)
		}
	})
}

func (w *writer) overItsOwn(ctx context.Context, at door, m *message) error {
	conn, err := dialWebSocket(ctx, at.addr, w.token)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	attempt := w.rec.invoke(w, m, at.node)
	err = writeJSON(ctx, conn, map[string]any{"op": "send", "id": 1, "n": 1, "room": m.room, "tag": m.tag, "type": "message", "data": m.data})
	for err == nil {
		var fr frame
		if fr, err = readFrame(ctx, conn, func() error { return nil }); err != nil || fr.ID != 1 {
			continue
		}
		switch {
		case fr.Op == "ack":
			attempt.OK(fr.Epoch, fr.Seq)
			return nil
		case fr.Code == "outcome_unknown":
			attempt.Unknown(fr.Code)
		default:
			attempt.Fail(fr.Code)
		}
		return refusal("copy of a send", fr)
	}
	attempt.Unknown("")
	return closing(err)
}

// lookAfter asks for the head after an ack (I10): of a cluster either without a position, which is to tell what any node
// has acked, or with one and the seq that was acked here (NODE-4).
func (w *writer) lookAfter(ctx context.Context, client *http.Client) error {
	at := w.door()
	query := "limit=1&before=1"
	claims := at.node != "" && w.rng.IntN(2) == 0
	if claims {
		query = fmt.Sprintf("limit=1&after=0&seen=%d", w.acked)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.addr+"/v1/rooms/"+w.room+"/events?"+query, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	ask := asked(w.name, at.node, "poll", w.room, !claims)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var p page
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return statusError("head", resp.StatusCode)
	}
	w.rec.head(ask, p.Epoch, p.Head)
	return nil
}

// stored is the answer to a send over HTTP: the event, or a problem.
type stored struct {
	Seq   int64  `json:"seq"`
	Epoch string `json:"epoch"`
	Code  string `json:"code"`
	Title string `json:"title"`
}

// post makes one attempt; without an error the message is stored, as that seq.
func (w *writer) post(ctx context.Context, client *http.Client, at door, m *message) (seq int64, err error) {
	text, err := json.Marshal(map[string]any{"tag": m.tag, "type": "message", "data": m.data})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at.addr+"/v1/rooms/"+m.room+"/events", bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	attempt := w.rec.invoke(w, m, at.node)
	resp, err := client.Do(req)
	if err != nil {
		attempt.Unknown("")
		return 0, err
	}
	defer resp.Body.Close()
	var s stored
	err = json.NewDecoder(resp.Body).Decode(&s)
	switch {
	case err != nil:
		attempt.Unknown("")
		return 0, err
	case resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK:
		attempt.OK(s.Epoch, s.Seq)
		return s.Seq, nil
	case s.Code == "outcome_unknown" || s.Code == "":
		attempt.Unknown(s.Code)
	default:
		attempt.Fail(s.Code)
	}
	w.rec.refused(at.node, s.Code, s.Title)
	return 0, statusError("send "+s.Code, resp.StatusCode)
}
