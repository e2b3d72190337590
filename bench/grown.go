package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres"
	"roomlog/server/store/sqlite"
)

const (
	// fillBatch is how many events a history is filled by at a time.
	fillBatch = 1024
	// joins is how many joins, or reads, a point is measured by.
	joins = 200
	// behind is how many events a client has missed that comes back.
	behind = 100
)

// byHistory: sends to a room that has x events, then joins of it and reads of pages somewhere in it.
func byHistory(ctx context.Context, t *trial, x int) ([]measured, error) {
	name := t.grownName(0)
	if err := t.fill(ctx, x, func(int) string { return name }); err != nil {
		return nil, err
	}
	cold, err := t.joining(ctx, name, 1, func(context.Context) (position, error) { return position{}, nil })
	if err != nil {
		return nil, err
	}
	out, err := t.sendsTo(ctx, t.Senders, []string{name}, bodyBytes)
	if err != nil {
		return nil, err
	}
	latest, err1 := t.joining(ctx, name, joins, func(context.Context) (position, error) { return position{}, nil })
	back, err2 := t.joining(ctx, name, joins, func(ctx context.Context) (position, error) { return t.before(ctx, name, behind) })
	pages, err3 := t.reading(ctx, name)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return append(out,
		measured{"first join after a start", "ms", ms(cold[0])},
		measured{"join, latest page, p50", "ms", ms(percentile(latest, 50))},
		measured{"join, 100 behind, p50", "ms", ms(percentile(back, 50))},
		measured{"page of 100 somewhere, p50", "ms", ms(percentile(pages, 50))},
	), nil
}

// byRooms: sends to x rooms that exist, in turn.
func byRooms(ctx context.Context, t *trial, x int) ([]measured, error) {
	names := make([]string, x)
	for i := range names {
		names[i] = t.grownName(i)
	}
	if err := t.fill(ctx, x, func(i int) string { return names[i] }); err != nil {
		return nil, err
	}
	out, err := t.sendsTo(ctx, t.Senders, names, bodyBytes)
	if err != nil {
		return nil, err
	}
	used, err := t.usage()
	return append(out, measured{"server memory", "MiB", float64(used.RSS) / (1 << 20)}), err
}

// grownName is that of a room of this trial that is filled.
func (t *trial) grownName(i int) string {
	if t.grown == "" {
		t.grown = roomNames("grown", 1)[0]
	}
	return t.grown + "-" + strconv.Itoa(i)
}

// sendsTo has n senders send to rooms that may have events already, with so many bytes of data.
func (t *trial) sendsTo(ctx context.Context, n int, names []string, size int) ([]measured, error) {
	senders, err := t.enterSenders(ctx, n)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	if err := t.settled(ctx); err != nil {
		return nil, err
	}
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	t.lasting("sending", t.Duration)
	started := time.Now()
	acks, err := sendAll(ctx, senders, load{d: t.Duration, size: size, room: inTurn(names, n)})
	p := part{acks: acks, took: time.Since(started)}
	after, errAfter := t.usage()
	if err := errors.Join(err, errAfter, consecutive(acks)); err != nil {
		return nil, err
	}
	out := append([]measured{{"acked sends per second", "", p.rate()}}, p.latencies("")...)
	return append(out,
		measured{"acked data", "MB/s", p.rate() * float64(size) / 1e6},
		measured{"server CPU per send", "µs", (after.CPU - before.CPU).Seconds() / float64(len(acks)) * 1e6}), nil
}

// perSender is how many rooms one sender sends to: a server bounds how many a connection may (1,024 by default).
const perSender = 1000

// inTurn has n senders share out the rooms, and each send to its own in turn: together to n*perSender of them at most.
func inTurn(names []string, n int) func(sender, turn int) string {
	return func(sender, turn int) string { return names[(sender+turn%perSender*n)%len(names)] }
}

// consecutive checks that the acks of each room follow one another without hole or repeat.
func consecutive(acks []ack) error {
	for room, seqs := range byRoom(acks) {
		slices.Sort(seqs)
		for i, seq := range seqs {
			if want := seqs[0] + int64(i); seq != want {
				return fmt.Errorf("%s: an ack has seq %d where %d is due: lost or doubled", room, seq, want)
			}
		}
	}
	return nil
}

// fill stops the server, appends to its store until the trial has filled in n events, event i in room(i), and starts
// the server anew. Sends that were measured before do not count.
func (t *trial) fill(ctx context.Context, n int, room func(int) string) (err error) {
	s, ok := t.server.(*roomlog)
	if !ok {
		return errors.New("only a store of Roomlog is filled")
	}
	if err := s.end(); err != nil {
		return err
	}
	if err := t.appendTo(ctx, s, n, room); err != nil {
		return err
	}
	return s.run(ctx)
}

func (t *trial) appendTo(ctx context.Context, s *roomlog, n int, name func(int) string) (err error) {
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	done := t.step("filling", n)
	data := appendBody(nil, 0, 0, bodyBytes)
	for ; t.filled < n && err == nil; done.Store(int64(t.filled)) {
		batch := make([]room.Send, min(fillBatch, n-t.filled))
		for i := range batch {
			tag, err := room.ParseTag(newTag())
			if err != nil {
				return err
			}
			batch[i] = room.Send{Room: room.ID(name(t.filled + i)), Author: "bench", Type: "message", Tag: tag, Data: data}
		}
		_, err = store.Append(ctx, batch)
		t.filled += len(batch)
	}
	return err
}

// open opens the store of a server that does not run.
func (s *roomlog) open(ctx context.Context) (room.Store, error) {
	if s.target.can()&onPostgres != 0 {
		return postgres.Open(ctx, s.target.store, nil)
	}
	return sqlite.Open(ctx, filepath.Join(s.dir, "roomlog.db"), nil)
}

// position is where a client stands; the zero value is nowhere.
type position struct {
	text string
	seq  int64
}

// before is the position n events before the head.
func (t *trial) before(ctx context.Context, name string, n int64) (position, error) {
	s := t.server.(*roomlog)
	heads, err := s.heads(ctx, []string{name})
	if err != nil {
		return position{}, err
	}
	token, err := t.token(ctx, sameUser(0))
	if err != nil {
		return position{}, err
	}
	page, err := t.page(ctx, token, name, heads[0]-n-1, 1)
	return position{page.Position, page.Seq}, err
}

type page struct {
	Position string
	Seq      int64
	Events   []json.RawMessage
}

func (t *trial) page(ctx context.Context, token, name string, after int64, limit int) (p page, err error) {
	err = get(ctx, t.at(), "/v1/rooms/"+name+"/events?after="+strconv.FormatInt(max(after, 0), 10)+"&limit="+strconv.Itoa(limit), token, &p)
	return p, err
}

// joining times n clients, one after the other, from their hello until they are given the room.
func (t *trial) joining(ctx context.Context, name string, n int, from func(context.Context) (position, error)) ([]time.Duration, error) {
	t.step("joining", n)
	token, err := t.token(ctx, sameUser(0))
	if err != nil {
		return nil, err
	}
	at, err := from(ctx)
	if err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, n)
	for range n {
		c := &client{says: t.server, room: name, token: token, position: at.text, seq: at.seq}
		if err := errors.Join(c.connect(ctx, nil, t.server.at()), ctx.Err()); err != nil {
			return nil, err
		}
		if err := c.upgraded(); err != nil {
			return nil, err
		}
		started := time.Now()
		err := c.enter()
		took = append(took, time.Since(started))
		c.close()
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// reading times pages of a room that begin anywhere in it.
func (t *trial) reading(ctx context.Context, name string) ([]time.Duration, error) {
	t.step("reading", joins)
	heads, err := t.server.(*roomlog).heads(ctx, []string{name})
	if err != nil {
		return nil, err
	}
	token, err := t.token(ctx, sameUser(0))
	if err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, joins)
	for range joins {
		after := rand.Int64N(max(heads[0]-behind, 1))
		started := time.Now()
		p, err := t.page(ctx, token, name, after, behind)
		took = append(took, time.Since(started))
		if err != nil {
			return nil, err
		}
		if n := int64(len(p.Events)); n < 1 || n > behind || p.Seq != after+n { // a page may end where what is in memory does
			return nil, fmt.Errorf("a page after %d has %d events up to %d", after, n, p.Seq)
		}
	}
	slices.Sort(took)
	return took, nil
}
