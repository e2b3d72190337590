package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	streamRooms   = 2
	tellersByRoom = 2

	// streamSweep is how often a node looks for leases that have ended; partsWithin is when what nodes do not hear of each other is
	// read at the latest (PART-10).
	streamSweep = 2 * time.Second
	partsWithin = 5 * time.Second
)

func streamRoom(i int) string { return fmt.Sprintf("%sstream-%d", besidePrefix, i) }

// streaming are the messages that stream while everything breaks, who tells them, and who listens.
type streaming struct {
	tales     *tales
	tellers   []*teller
	listeners []*listener
	troubled  []span // when something was broken
	aborts    []time.Duration
}

func (c *cluster) castStreams() error {
	c.streaming.tales = newTales()
	tell := func(room, name, canary string, roams bool) error {
		token, err := sign(c.key, name, []grant{{Rooms: room, Can: []string{"read", "send"}}}, 12*time.Hour)
		rng := c.draw()
		c.streaming.tellers = append(c.streaming.tellers, &teller{
			name: name, token: token, room: room, canary: canary, roams: roams, rec: c.rec, tales: c.streaming.tales, rng: rng, moves: rounds(rng, c.doors()),
		})
		return err
	}
	for i := range streamRooms {
		room := streamRoom(i)
		for n := range tellersByRoom {
			if err := tell(room, fmt.Sprintf("teller-%d-%d", i, n), hush, n%2 == 1); err != nil {
				return err
			}
		}
		for _, transport := range []string{"ws", "ws", "sse"} {
			name := "listener-" + transport
			token, err := sign(c.key, name, []grant{{Rooms: room, Can: []string{"read"}}}, 12*time.Hour)
			if err != nil {
				return err
			}
			rng := c.draw()
			c.streaming.listeners = append(c.streaming.listeners, &listener{
				name: name, transport: transport, room: room, token: token, rec: c.rec, tales: c.streaming.tales, rng: rng,
				moves: rounds(rng, c.doors()), texts: make(map[int64]*heard),
			})
		}
	}
	return tell(openRoom, "teller-open", "open", false) // for the outsider, who is given parts there and nowhere else
}

// startStreams begins what streams, and who listens while clients lasts. The function that it returns ends the telling, and waits for it.
func (c *cluster) startStreams(clients context.Context, listening *sync.WaitGroup) (stop func()) {
	enough := make(chan struct{})
	var telling sync.WaitGroup
	for _, t := range c.streaming.tellers {
		telling.Go(func() { t.run(clients, enough) })
	}
	for _, l := range c.streaming.listeners {
		listening.Go(func() { l.run(clients) })
	}
	return sync.OnceFunc(func() {
		close(enough)
		telling.Wait()
	})
}

// tellCalmly has one more message stream in each room, while nothing is broken: what was said so far reaches every reader, whatever node
// they are at, and so does how it ends.
func (c *cluster) tellCalmly(ctx context.Context) {
	for i := range streamRooms {
		t := c.streaming.tellers[i*tellersByRoom]
		s := c.streaming.tales.write(t.rng, t.room, t.canary, taleFinished, 40)
		half := s.cut(len(s.whole) / 2)
		err := t.begin(ctx, s)
		if err == nil {
			_, err = t.bring(ctx, s, half)
		}
		if err != nil {
			c.problem("PART: while nothing is broken a message does not stream: %v", err)
			continue
		}
		c.awaitListeners(ctx, t.room, fmt.Sprintf("has the %d bytes that were said", half), func(l *listener) bool {
			most, _ := l.reached(s.seq)
			return most == half
		})
		if _, err = t.bring(ctx, s, len(s.whole)); err == nil {
			err = t.finish(ctx, s, len(s.whole))
		}
		if err != nil {
			c.problem("PART: while nothing is broken a message does not end: %v", err)
		}
		c.awaitListeners(ctx, t.room, "knows how the message ended", func(l *listener) bool {
			_, over := l.reached(s.seq)
			return over
		})
	}
}

func (c *cluster) awaitListeners(ctx context.Context, room, what string, good func(*listener) bool) {
	over := time.Now().Add(partsWithin + stay + busy)
	for _, l := range c.streaming.listeners {
		for l.room == room && !good(l) {
			if ctx.Err() != nil || time.Now().After(over) {
				c.problem("PART-10: after %v it is not so that the reader over %s %s", partsWithin+stay+busy, l.transport, what)
				break
			}
			wait(ctx, 10*time.Millisecond)
		}
	}
}

// judgeStreams: no message streams any more, and every node says the same of how each of them ended.
func (c *cluster) judgeStreams(ctx context.Context) error {
	began := time.Now()
	c.tellCalmly(ctx)
	if err := c.awaitNoStreams(ctx); err != nil {
		return err
	}
	token, err := sign(c.key, "judge", everything, time.Hour)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 2 * quiet}
	for _, n := range c.nodes {
		told := make(map[string]int) // messages, by tale
		for _, room := range []string{streamRoom(0), streamRoom(1), openRoom} {
			events, err := wholeLog(func(path string) (p changedPage, err error) {
				status, text, err := insist(ctx, client, http.MethodGet, "/v1/rooms/"+room+path, token, nil, func() door { return door{n.addr, n.name} })
				if err != nil || status != http.StatusOK {
					return p, fmt.Errorf("%s: status %d: %w", path, status, err)
				}
				return p, json.Unmarshal(text, &p)
			})
			if err != nil {
				return fmt.Errorf("%s by node %s: %w", room, n.name, err)
			}
			c.judgeTales(n, room, events, told)
		}
		for id, s := range c.streaming.tales.byID {
			if s.ended != taleDeleted && s.seq > 0 && told[id] != 1 {
				c.problem("PART-1: node %s has %d messages of a tale that began once, as %d", n.name, told[id], s.seq)
			}
		}
	}
	c.tellOfStreams(time.Since(began))
	return nil
}

// awaitNoStreams waits until the leases of all that were given up have ended, and they with them.
func (c *cluster) awaitNoStreams(ctx context.Context) error {
	for over := time.Now().Add(2*streamLease + streamSweep + busy); ; wait(ctx, 100*time.Millisecond) {
		open := 0
		if err := c.query(ctx, "select count(*) from roomlog.streams", func(row pgx.CollectableRow) error { return row.Scan(&open) }); err != nil {
			return err
		}
		if open == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(over) {
			c.problem("PART-5: %v after the last was given up, %d messages stream", 2*streamLease+streamSweep+busy, open)
			return nil
		}
	}
}

// judgeTales judges the log of a room.
func (c *cluster) judgeTales(n *node, room string, events []changedEvent, told map[string]int) {
	ends := make(map[int64][]changedEvent)
	for _, e := range events {
		if e.Type == "edit" {
			ends[e.targets()] = append(ends[e.targets()], e)
		}
	}
	for _, e := range events {
		if e.Type != "message" {
			continue
		}
		s := c.streaming.tales.byID[e.tale()]
		switch {
		case s == nil && e.has():
			c.problem("PART-1: node %s: message %d is of no tale", n.name, e.Seq)
		case s != nil:
			told[s.id]++
			c.judgeTale(n, s, e, ends[e.Seq])
		}
	}
	for _, s := range c.streaming.tales.byID {
		if s.room == room && s.ended == taleDeleted && len(ends[s.seq]) > 0 {
			c.problem("PART-8: node %s: message %d of %s is deleted, and has an end", n.name, s.seq, room)
		}
	}
}

// judgeTale: the message is as it began, and has one end, which is as its producer was told.
func (c *cluster) judgeTale(n *node, s *tale, e changedEvent, ends []changedEvent) {
	wrong := func(format string, args ...any) {
		c.problem("PART-7: node %s: message %d of %s, which was %s (%q to its producer): %s", n.name, e.Seq, e.Author, s.fate, s.ended, fmt.Sprintf(format, args...))
	}
	if s.seq != 0 && e.Seq != s.seq {
		wrong("it began as %d", s.seq)
	}
	if len(ends) != 1 {
		wrong("it has %d ends", len(ends))
		return
	}
	end := ends[0]
	var data struct {
		Data struct {
			Text      string `json:"text"`
			Tale      string `json:"tale"`
			Aborted   bool   `json:"aborted"`
			Streaming bool   `json:"streaming"`
			Words     int    `json:"words"`
		} `json:"data"`
	}
	if err := json.Unmarshal(end.Data, &data); err != nil {
		wrong("its end is %.200s: %v", end.Data, err)
		return
	}
	d, whole, least := data.Data, s.begins+s.whole, len(s.begins)+s.kept
	switch s.ended {
	case taleFinished, taleReplaced:
		if d.Aborted || end.Seq != s.end || (d.Words == 1) != (s.fate == taleReplaced) {
			wrong("it ended by %d, as %.200s", end.Seq, end.Data)
		}
		if least = len(whole); d.Text != whole {
			wrong("of %d bytes it has %d (said %d, kept %d)", len(whole), len(d.Text), s.said, s.kept)
		}
	case "", taleLost, taleAborted:
		if !d.Aborted {
			wrong("it is not aborted")
		}
	}
	if !strings.HasPrefix(whole, d.Text) || len(d.Text) < least || len(d.Text) > len(s.begins)+s.said || d.Streaming || d.Tale != s.id || end.Author != e.Author {
		wrong("of %d bytes, of which %d were said and %d kept, it ended with %d: %.100s", len(s.whole), s.said, s.kept, len(d.Text)-len(s.begins), end.Data)
	}
	if !s.silent.IsZero() && n == c.nodes[0] {
		c.judgeAbort(s, end.At)
	}
}

// judgeAbort: a message that is given up is aborted once its lease has ended, at the next look of a node; where that was broken, another
// lease later.
func (c *cluster) judgeAbort(s *tale, at time.Time) {
	took, bound := at.Sub(s.silent), streamLease+streamSweep+busy
	for _, t := range c.streaming.troubled {
		if t.to.After(s.silent) && t.from.Before(s.silent.Add(bound)) {
			bound += streamLease
			break
		}
	}
	c.streaming.aborts = append(c.streaming.aborts, took)
	if took > bound {
		c.problem("PART-5: message %d was aborted %v after it was given up; its lease was %v", s.seq, took.Round(time.Millisecond), streamLease)
	}
}

// tellOfStreams says what was tried, and that something was.
func (c *cluster) tellOfStreams(judging time.Duration) {
	l := c.streaming.tales
	fates := make(map[string]int)
	for _, s := range l.byID {
		if fates[s.ended]++; s.ended == "" && s.silent.IsZero() {
			c.problem("PART: a message was told of which no node has said how it ended: %+v", s)
		}
	}
	var least, most time.Duration
	for _, took := range c.streaming.aborts {
		if least == 0 || took < least {
			least = took
		}
		most = max(most, took)
	}
	c.logf("streams: %d parts of %d messages (%v), %d of them behind what a node had; %d frames to %d readers, %d times behind what they brought; given up, aborted after %v to %v (lease %v); judged in %v",
		l.parts, len(l.byID), fates, l.behind, l.heard, len(c.streaming.listeners), l.resumed, least.Round(100*time.Millisecond), most.Round(100*time.Millisecond), streamLease, judging.Round(100*time.Millisecond))
	if fates[taleFinished] == 0 || len(c.streaming.aborts) == 0 || l.behind == 0 || l.resumed == 0 {
		c.problem("PART: not everything was put to the test")
	}
}
