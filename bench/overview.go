package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"roomlog/server/room"
)

const (
	// overviewMessages is how many messages each of the rooms has; the first half of them is read.
	overviewMessages = 20
	// overviewTurns is how often all of them are asked for, by each way.
	overviewTurns = 10
)

// overviewed is whose rooms are looked at: another in each trial, since a database outlives it.
func (t *trial) overviewed() string { return "of-" + strings.ReplaceAll(t.grownName(0), ":", "-") }

// overview: a user asks for all of t.Rooms rooms at a time, half read, by pages over HTTP and by `me` over a WebSocket.
func overview(ctx context.Context, t *trial) ([]measured, error) {
	s := t.server.(*roomlog)
	if err := s.end(); err != nil {
		return nil, err
	}
	err := t.fillOverviews(ctx, s)
	if err := errors.Join(err, s.run(context.WithoutCancel(ctx))); err != nil {
		return nil, err
	}
	token, err := t.token(ctx, t.overviewed())
	if err != nil {
		return nil, err
	}
	if err := t.settled(ctx); err != nil {
		return nil, err
	}
	pages, cpu, err := t.turns(ctx, overviewTurns, func(int) error { return t.overviewPages(ctx, s, token) })
	if err != nil {
		return nil, err
	}
	clients, err := t.enterAll(ctx, overviewTurns, func(int) string { return t.overviewed() }, func(int) string { return "" })
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	frames, _, err := t.turns(ctx, overviewTurns, func(i int) error { return clients[i].overviews(t.Rooms) })
	if err != nil {
		return nil, err
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return []measured{
		{"all rooms by pages of 500, p50", "ms", ms(percentile(pages, 50))},
		{"all rooms by pages of 500, p99", "ms", ms(percentile(pages, 99))},
		{"all rooms by op me, p50", "ms", ms(percentile(frames, 50))},
		{"server CPU for all rooms, by pages", "ms", ms(cpu) / overviewTurns},
	}, nil
}

// turns does something n times, and gives how long each time took, sorted, and what all of them cost the server.
func (t *trial) turns(ctx context.Context, n int, do func(i int) error) ([]time.Duration, time.Duration, error) {
	done := t.step("asking", n)
	before, err := t.usage()
	took := make([]time.Duration, 0, n)
	for i := range n {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, 0, err
		}
		started := time.Now()
		err = do(i)
		took = append(took, time.Since(started))
		done.Add(1)
	}
	if err != nil {
		return nil, 0, err
	}
	after, err := t.usage()
	slices.Sort(took)
	return took, after.CPU - before.CPU, err
}

// fillOverviews makes the user a member of rooms, writes to them, and has half of it read.
func (t *trial) fillOverviews(ctx context.Context, s *roomlog) error {
	if err := t.belong(ctx, s); err != nil {
		return err
	}
	if err := t.appendTo(ctx, s, overviewMessages*t.Rooms, func(i int) string { return t.grownName(i % t.Rooms) }); err != nil {
		return err
	}
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	marks := make([]room.Marking, t.Rooms)
	for i := range marks {
		marks[i] = room.Marking{Room: room.ID(t.grownName(i)), User: t.overviewed(), Read: 1 + overviewMessages/2}
	}
	_, err = store.(room.Receipts).Mark(ctx, marks)
	return errors.Join(err, store.Close())
}

// belong makes the user a member of t.Rooms rooms, by their first events: what was written before is unread by nobody.
func (t *trial) belong(ctx context.Context, s *roomlog) (err error) {
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	all := make([]room.Send, t.Rooms)
	for i := range all {
		tag, err := room.ParseTag(newTag())
		if err != nil {
			return err
		}
		all[i] = room.Send{
			Room: room.ID(t.grownName(i)), Author: "bench", Type: room.TypeMember, Tag: tag, Data: []byte(`{"user":"` + t.overviewed() + `","role":"member"}`),
			Member: &room.MemberChange{User: t.overviewed(), Role: "member"},
		}
	}
	for batch := range slices.Chunk(all, fillBatch) {
		if _, err := store.Append(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// overviewPages asks for all rooms of the user, page by page.
func (t *trial) overviewPages(ctx context.Context, s *roomlog, token string) error {
	n := 0
	for after := ""; ; {
		var page struct {
			Rooms []json.RawMessage
			Next  string
		}
		if err := get(ctx, s.addr, "/v1/me/rooms?limit=500&after="+url.QueryEscape(after), token, &page); err != nil {
			return err
		}
		n += len(page.Rooms)
		if after = page.Next; after == "" {
			break
		}
	}
	if n != t.Rooms {
		return fmt.Errorf("%d overviews of %d rooms", n, t.Rooms)
	}
	return nil
}

// overviews asks for all rooms of the user, and reads until it has them.
func (c *client) overviews(rooms int) error {
	n := 0
	c.seen = func(frame []byte) {
		if bytes.HasPrefix(frame, []byte(`{"op":"me"`)) {
			n += bytes.Count(frame, []byte(`"first_unread":`))
		}
	}
	defer func() { c.seen = nil }()
	if err := c.conn.SetDeadline(time.Now().Add(slack)); err != nil {
		return err
	}
	if err := c.write(`{"op":"me","id":1}`); err != nil {
		return err
	}
	for n < rooms {
		if err := c.read(); err != nil {
			return fmt.Errorf("%d overviews of %d rooms: %w", n, rooms, err)
		}
	}
	if n > rooms {
		return fmt.Errorf("%d overviews of %d rooms", n, rooms)
	}
	return nil
}
