package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// body is an event's data of about 100 bytes.
var body = `{"text":"` + strings.Repeat("all work and no play makes a dull log ", 3)[:89] + `"}`

// dialing is how many connections are opened at a time.
const dialing = 64

// enterAll opens n connections; connection i joins room(i), or none where that is empty.
func enterAll(ctx context.Context, s *server, n int, room func(int) string) ([]*client, error) {
	token, err := s.token("bench")
	if err != nil {
		return nil, err
	}
	clients := make([]*client, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, dialing)
	for d := range dialing {
		wg.Go(func() {
			for errs[d] == nil && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if clients[i], errs[d] = dial(s.addr); errs[d] == nil {
					errs[d] = clients[i].enter(token, room(i), "")
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		closeAll(clients)
		return nil, err
	}
	return clients, ctx.Err()
}

func closeAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			c.conn.Close()
		}
	}
}

// idle: connections that only answer pings. The figure is what the server grew by.
func idle(ctx context.Context, s *server, o Options) ([]measured, error) {
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	clients, err := enterAll(ctx, s, o.Idle, func(i int) string { return fmt.Sprintf("bench:idle-%d", i%1000) })
	if err != nil {
		return nil, err
	}
	joined, err := s.usage()
	if err != nil {
		return nil, err
	}
	// Two rounds of pings, so that what is measured is the state that lasts.
	quiet := time.Now().Add(21 * time.Second)
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Go(func() { errs[i] = c.follow(quiet) })
	}
	wg.Wait()
	after, err := s.usage()
	closeAll(clients)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	n := float64(o.Idle)
	return []measured{
		{"memory per connection", "KiB", float64(after.RSS-before.RSS) / 1024 / n},
		{"connect and join, server CPU", "µs", float64((joined.CPU - before.CPU).Microseconds()) / n},
		{"idle, server CPU per connection and minute", "µs", float64((after.CPU - joined.CPU).Microseconds()) / n * 60 / 21},
	}, nil
}

// follow reads until t.
func (c *client) follow(t time.Time) error {
	c.conn.SetReadDeadline(t)
	scratch := make([]byte, 512)
	for {
		if err := c.read(scratch, c.look); err != nil {
			if time.Now().Before(t) {
				return err
			}
			return nil
		}
	}
}

const inFlight = 64

// fanout: 64 sends are kept in flight, all readers follow.
func fanout(ctx context.Context, s *server, o Options) ([]measured, error) {
	room := "bench:fanout-" + newTag() // nobody wrote to it: its head is the number of events
	readers, err := enterAll(ctx, s, o.Readers, func(int) string { return room })
	if err != nil {
		return nil, err
	}
	defer closeAll(readers)
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var head atomic.Int64 // set when the last send is acked
	var wg sync.WaitGroup
	errs := make([]error, len(readers)+2)
	for i, c := range readers {
		wg.Go(func() { errs[i] = c.followTo(&head) })
	}
	wg.Go(func() {
		var last int64
		if last, errs[len(readers)] = saturate(s, room, o.Duration); last == 0 {
			closeAll(readers)
		}
		head.Store(last)
		// Readers who had all of it already look again when one more event comes.
		_, errs[len(readers)+1] = saturate(s, room, time.Millisecond)
	})
	wg.Wait()
	took := time.Since(started)
	after, err := s.usage()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	deliveries := float64(head.Load()) * float64(len(readers))
	cpu := (after.CPU - before.CPU).Seconds()
	return []measured{
		{"deliveries per server CPU-second", "", deliveries / cpu},
		{"deliveries per second", "", deliveries / took.Seconds()},
		{"sends per second", "", float64(head.Load()) / took.Seconds()},
		{"server CPU", "s", cpu},
		{"server memory", "MiB", float64(after.RSS) / (1 << 20)},
	}, nil
}

// followTo reads until the client stands at head, once that is known.
func (c *client) followTo(head *atomic.Int64) error {
	c.conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	scratch := make([]byte, 64<<10)
	for {
		if last := head.Load(); last != 0 && c.seq >= last {
			return nil
		}
		if err := c.read(scratch, c.look); err != nil {
			return fmt.Errorf("reader at %d of %d: %w", c.seq, head.Load(), err)
		}
	}
}

// saturate has 64 senders send to a room, one outstanding each, for d, and returns the highest seq acked.
// They are 64 users, since a user may send only so fast.
func saturate(s *server, room string, d time.Duration) (int64, error) {
	stop := time.Now().Add(d)
	last := make([]int64, inFlight)
	errs := make([]error, inFlight)
	var wg sync.WaitGroup
	for i := range inFlight {
		wg.Go(func() {
			_, seqs, err := sendInTurn(context.Background(), s, i, func(int) string { return room }, stop)
			if acked := seqs[room]; len(acked) > 0 {
				last[i] = acked[len(acked)-1]
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return slices.Max(last), errors.Join(errs...)
}

func sender(s *server, i int) (*client, error) {
	token, err := s.token(fmt.Sprintf("sender-%d", i))
	if err != nil {
		return nil, err
	}
	c, err := dial(s.addr)
	if err != nil {
		return nil, err
	}
	return c, c.enter(token, "", "")
}

func sendFrame(room string, n int64) string {
	return fmt.Sprintf(`{"op":"send","id":%d,"n":%d,"room":"%s","tag":"%s","type":"message","data":%s}`, n, n, room, newTag(), body)
}

// newTag makes a UUID of version 7 (RFC 9562), as the client library does.
func newTag() string {
	ms := uint64(time.Now().UnixMilli())
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-7%03x-%04x-%012x", ms>>16, ms&0xffff, a&0xfff, 0x8000|a>>16&0x3fff, b&0xffffffffffff)
}

func ackSeq(frame []byte) (int64, error) {
	if !bytes.HasPrefix(frame, []byte(`{"op":"ack"`)) {
		return 0, nil
	}
	at := bytes.Index(frame, []byte(`"seq":`))
	if at < 0 {
		return 0, errors.New("an ack without seq")
	}
	seq, _ := number(frame[at+len(`"seq":`):])
	return seq, nil
}

func sendsOneRoom(ctx context.Context, s *server, o Options) ([]measured, error) {
	return sends(ctx, s, o, 1)
}

func sendsManyRooms(ctx context.Context, s *server, o Options) ([]measured, error) {
	return sends(ctx, s, o, 1000)
}

// sends: every sender sends to its rooms in turn, one outstanding.
func sends(ctx context.Context, s *server, o Options, rooms int) ([]measured, error) {
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	run := newTag()
	stop := time.Now().Add(o.Duration)
	results := make([][]time.Duration, o.Senders)
	errs := make([]error, o.Senders)
	seqs := make([]map[string][]int64, o.Senders)
	var wg sync.WaitGroup
	for i := range o.Senders {
		wg.Go(func() {
			room := func(turn int) string { return fmt.Sprintf("bench:%s-%d", run, (i*15+turn)%rooms) }
			results[i], seqs[i], errs[i] = sendInTurn(ctx, s, i, room, stop)
		})
	}
	wg.Wait()
	after, err := s.usage()
	if err := errors.Join(append(errs, err, dense(seqs))...); err != nil {
		return nil, err
	}
	all := slices.Sorted(slices.Values(slices.Concat(results...)))
	n := len(all)
	cpu := (after.CPU - before.CPU).Seconds()
	return []measured{
		{"acked sends per second", "", float64(n) / o.Duration.Seconds()},
		{"p50", "ms", all[n/2].Seconds() * 1000},
		{"p99", "ms", all[n*99/100].Seconds() * 1000},
		{"server CPU per send", "µs", cpu / float64(n) * 1e6},
	}, nil
}

// sendInTurn is sender i: it waits for each ack before it sends again, to room(turn), until stop. It
// returns how long the acks took, and their seqs by room.
func sendInTurn(ctx context.Context, s *server, i int, room func(turn int) string, stop time.Time) ([]time.Duration, map[string][]int64, error) {
	c, err := sender(s, i)
	if err != nil {
		return nil, nil, err
	}
	defer c.conn.Close()
	c.conn.SetReadDeadline(stop.Add(time.Minute))
	var took []time.Duration
	seqs := make(map[string][]int64)
	counts := make(map[string]int64)
	scratch := make([]byte, 4096)
	for turn := 0; turn == 0 || time.Now().Before(stop) && ctx.Err() == nil; turn++ {
		room := room(turn)
		counts[room]++
		started := time.Now()
		if err := c.send(sendFrame(room, counts[room])); err != nil {
			return nil, nil, err
		}
		var seq int64
		for seq == 0 {
			if err := c.read(scratch, func(frame []byte) (err error) {
				if got, err := ackSeq(frame); got != 0 || err != nil {
					seq = got
					return err
				}
				return c.look(frame)
			}); err != nil {
				return nil, nil, err
			}
		}
		took = append(took, time.Since(started))
		seqs[room] = append(seqs[room], seq)
	}
	return took, seqs, nil
}

// dense checks that the acks of each room are 1, 2, 3 … without hole or repeat.
func dense(senders []map[string][]int64) error {
	all := make(map[string][]int64)
	for _, seqs := range senders {
		for room, s := range seqs {
			all[room] = append(all[room], s...)
		}
	}
	for room, seqs := range all {
		slices.Sort(seqs)
		for i := range seqs {
			if seqs[i] != seqs[0]+int64(i) {
				return fmt.Errorf("%s: the acks have a hole or a repeat at %d", room, seqs[i])
			}
		}
	}
	return nil
}
