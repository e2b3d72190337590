package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// liveReaders read all the time; their latency is what the stalled ones must not change.
	liveReaders = 8
	// pacedSenders share out bytesPerSecond, in events of pacedBytes.
	pacedSenders   = 8
	pacedBytes     = 4000
	bytesPerSecond = 1_000_000
	// phases is how often the row goes to and fro between the room with stalled readers and the one without.
	phases = 4
	// stallWithin bounds the time until all that stop are found to have stopped.
	stallWithin = 2 * time.Minute
	// readAgainWithin bounds the time until all of them have read everything.
	readAgainWithin = 5 * time.Minute

	// What the server may grow by: twice its tails and what it keeps of each stalled reader.
	tailBudget = 64 << 20
	perStalled = 32 << 10
)

// stalled: o.Stalled readers join a room and read nothing, while 1 MB/s is written to it. Live readers in the
// same room, and in another of the same rate, are timed in turn. In the end every stalled reader reads again,
// from a new connection where it was cut, and must get each event once.
func stalled(ctx context.Context, s *server, o Options) ([]measured, error) {
	run := newTag()
	with, without := "bench:stalled-"+run, "bench:alone-"+run
	live, err := enterAll(ctx, s, 2*liveReaders, sameUser, func(i int) string { return []string{with, without}[i%2] })
	if err != nil {
		return nil, err
	}
	defer closeAll(live)
	senders, err := enterSenders(ctx, s, pacedSenders)
	if err != nil {
		return nil, err
	}
	defer closeAll(senders)
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	stop, err := enterAll(ctx, s, o.Stalled, sameUser, func(int) string { return with })
	if err != nil {
		return nil, err
	}
	defer closeAll(stop)
	load := &pacedLoad{senders: senders, counts: make([]map[string]int64, len(senders))}
	timed := timeReaders(live, time.Now().Add(stallWithin+4*o.Duration+slack))
	err = errors.Join(s.untilStalled(ctx, load, with, o.Stalled))
	timed.clear()
	memory := watchMemory(s)
	began, sent := time.Now(), load.total()
	for range phases {
		if err == nil {
			err = load.run(ctx, without, o.Duration/phases)
		}
		if err == nil {
			err = load.run(ctx, with, o.Duration/phases)
		}
	}
	rate := float64(load.total()-sent) * pacedBytes / time.Since(began).Seconds() / 1e6
	peak, errMemory := memory.stop()
	timed.until(load.sent(with), load.sent(without))
	for _, room := range []string{with, without} { // once more, so that those who have all of it look again
		err = errors.Join(err, load.run(ctx, room, 0))
	}
	if err := errors.Join(err, errMemory, timed.wait(err != nil)); err != nil {
		return nil, err
	}
	growth, bound := float64(peak-before.RSS), float64(2*(tailBudget+int64(o.Stalled)*perStalled))
	if growth >= bound {
		return nil, fmt.Errorf("the server grew by %.0f MiB, and may by %.0f", growth/(1<<20), bound/(1<<20))
	}
	memory = watchMemory(s)
	cut, took, err := readAgain(ctx, s, stop, with, load.sent(with))
	after, errMemory := memory.stop()
	if err := errors.Join(err, errMemory); err != nil {
		return nil, err
	}
	on, off := timed.latencies(0), timed.latencies(1)
	p99on, p99off := percentile(on, 99).Seconds()*1000, percentile(off, 99).Seconds()*1000
	return []measured{
		{"memory grew by", "MiB", growth / (1 << 20)},
		{"memory may grow by", "MiB", bound / (1 << 20)},
		{"and while they read again", "MiB", float64(after-before.RSS) / (1 << 20)},
		{"p50 of the others, none stalled", "ms", percentile(off, 50).Seconds() * 1000},
		{"p50 of the others", "ms", percentile(on, 50).Seconds() * 1000},
		{"p99 of the others, none stalled", "ms", p99off},
		{"p99 of the others", "ms", p99on},
		{"p99, ratio", "", p99on / p99off},
		{"written to the rooms", "MB/s", rate},
		{"stalled readers that were cut", "", float64(cut)},
		{"until all had read everything", "s", took.Seconds()},
	}, nil
}

// untilStalled writes to the room until the server has found all of its n readers that stop to be full.
func (s *server) untilStalled(ctx context.Context, load *pacedLoad, room string, n int) error {
	deadline := time.Now().Add(stallWithin)
	for {
		if err := load.run(ctx, room, 500*time.Millisecond); err != nil {
			return err
		}
		stalls, err := s.metric(ctx, "roomlog_stalls_total")
		if err != nil || stalls >= float64(n) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %.0f of %d readers have stalled", stalls, n)
		}
	}
}

// metric reads one series of the server, which has no labels.
func (s *server) metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the server has no metric %s", name)
}

// pacedLoad writes at a steady rate, one send of each sender in flight.
type pacedLoad struct {
	senders []*client
	counts  []map[string]int64 // of each sender, by room
}

// run writes to a room for d.
func (l *pacedLoad) run(ctx context.Context, room string, d time.Duration) error {
	every := time.Second * pacedBytes * pacedSenders / bytesPerSecond
	stop := time.Now().Add(d)
	errs := make([]error, len(l.senders))
	var wg sync.WaitGroup
	for i, c := range l.senders {
		if l.counts[i] == nil {
			l.counts[i] = make(map[string]int64)
		}
		wg.Go(func() {
			if errs[i] = c.conn.SetDeadline(stop.Add(slack)); errs[i] != nil {
				return
			}
			pace := time.NewTicker(every)
			defer pace.Stop()
			scratch := make([]byte, 4096)
			for sent := 0; sent == 0 || time.Now().Before(stop); sent++ {
				if errs[i] = c.sendTimed(room, l.counts[i][room]+1, scratch); errs[i] != nil {
					return
				}
				l.counts[i][room]++
				select {
				case <-pace.C:
				case <-ctx.Done():
					errs[i] = ctx.Err()
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// sent is how many events the room has.
func (l *pacedLoad) sent(room string) (n int64) {
	for _, counts := range l.counts {
		n += counts[room]
	}
	return n
}

func (l *pacedLoad) total() (n int64) {
	for _, counts := range l.counts {
		for _, of := range counts {
			n += of
		}
	}
	return n
}

// origin is what the times in events count from.
var origin = time.Now()

var padding = strings.Repeat("x", pacedBytes)

// sendTimed sends an event that says when, and waits for its ack.
func (c *client) sendTimed(room string, n int64, scratch []byte) error {
	head := fmt.Sprintf(`{"sent":%d,"pad":"`, time.Since(origin))
	data := head + padding[:pacedBytes-len(head)-2] + `"}`
	if err := c.send(fmt.Sprintf(`{"op":"send","id":%d,"n":%d,"room":"%s","tag":"%s","type":"message","data":%s}`, n, n, room, newTag(), data)); err != nil {
		return err
	}
	for acked := false; !acked; {
		if err := c.read(scratch, func(frame []byte) error {
			acked = acked || bytes.HasPrefix(frame, []byte(`{"op":"ack"`))
			return c.look(frame)
		}); err != nil {
			return err
		}
	}
	return nil
}

// timedReaders are live readers, of two rooms by turns, and how long each event took to reach them.
type timedReaders struct {
	readers []*client
	heads   [2]atomic.Int64
	wg      sync.WaitGroup
	errs    []error

	mu   sync.Mutex
	took [2][]time.Duration
}

func timeReaders(readers []*client, deadline time.Time) *timedReaders {
	t := &timedReaders{readers: readers, errs: make([]error, len(readers))}
	for i, c := range readers {
		t.wg.Go(func() {
			if t.errs[i] = c.conn.SetDeadline(deadline); t.errs[i] != nil {
				return
			}
			scratch := make([]byte, 64<<10)
			for t.errs[i] == nil {
				if last := t.heads[i%2].Load(); last != 0 && c.seq >= last {
					return
				}
				t.errs[i] = c.read(scratch, func(frame []byte) error {
					t.note(i%2, frame)
					return c.look(frame)
				})
			}
		})
	}
	return t
}

// note takes the times of a page's events.
func (t *timedReaders) note(room int, frame []byte) {
	now := time.Since(origin)
	for {
		sent, rest, err := field(frame, `"sent":`)
		if err != nil {
			return
		}
		frame = rest
		t.mu.Lock()
		t.took[room] = append(t.took[room], now-time.Duration(sent))
		t.mu.Unlock()
	}
}

func (t *timedReaders) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = [2][]time.Duration{}
}

// latencies are those of one of the rooms, sorted.
func (t *timedReaders) latencies(room int) []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(slices.Values(t.took[room]))
}

// until sets how far the readers of each room are to read.
func (t *timedReaders) until(heads ...int64) {
	for i, head := range heads {
		t.heads[i].Store(head)
	}
}

// wait waits for the readers; with what they wait for not to come, it cuts them off.
func (t *timedReaders) wait(failed bool) error {
	if failed {
		closeAll(t.readers)
	}
	t.wg.Wait()
	for i, c := range t.readers {
		if t.errs[i] == nil && c.got != c.seq {
			t.errs[i] = fmt.Errorf("a live reader has %d events of %d", c.got, c.seq)
		}
	}
	return errors.Join(t.errs...)
}

// memoryWatch takes the most memory that the server has had.
type memoryWatch struct {
	quit, ended chan struct{}
	peak        int64
	err         error
}

func watchMemory(s *server) *memoryWatch {
	w := &memoryWatch{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		for {
			u, err := s.usage()
			if w.peak = max(w.peak, u.RSS); err != nil {
				w.err = err
				return
			}
			select {
			case <-w.quit:
				return
			case <-look.C:
			}
		}
	}()
	return w
}

func (w *memoryWatch) stop() (peak int64, err error) {
	close(w.quit)
	<-w.ended
	return w.peak, w.err
}

// readAgain has every reader that stopped read on to the head, and says how many had been cut and came back.
func readAgain(ctx context.Context, s *server, stopped []*client, room string, head int64) (cut int, took time.Duration, err error) {
	started := time.Now()
	token, err := s.token(ctx, sameUser(0))
	if err != nil {
		return 0, 0, err
	}
	var resumed atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(stopped))
	for i, c := range stopped {
		wg.Go(func() {
			n, err := c.readOn(ctx, s, token, room, head, started.Add(readAgainWithin))
			resumed.Add(min(n, 1))
			if errs[i] = err; err == nil && (c.seq != head || c.got != head) {
				errs[i] = fmt.Errorf("reader %d has %d events and stands at %d of %d", i, c.got, c.seq, head)
			}
		})
	}
	wg.Wait()
	return int(resumed.Load()), time.Since(started), errors.Join(errs...)
}

// readOn reads to the head; where the server has cut the connection, it resumes on another. It says how often.
func (c *client) readOn(ctx context.Context, s *server, token, room string, head int64, deadline time.Time) (resumed int64, err error) {
	scratch := make([]byte, 64<<10)
	for ; ; resumed++ {
		err := c.conn.SetDeadline(deadline)
		for err == nil && c.seq < head {
			err = c.read(scratch, func(frame []byte) error {
				if bytes.HasPrefix(frame, []byte(`{"op":"error"`)) && (bytes.Contains(frame, []byte(`"code":"ping_timeout"`)) || bytes.Contains(frame, []byte(`"code":"slow_consumer"`))) {
					return nil // the end follows
				}
				return c.look(frame)
			})
		}
		if err == nil || !cutOff(err) || time.Now().After(deadline) {
			return resumed, err
		}
		if err := c.resume(ctx, s, token, room); err != nil {
			return resumed, err
		}
	}
}

// cutOff reports whether an error is the end of the connection, and not something wrong with what was read.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// resume goes on from where the client stands, on a connection of its own.
func (c *client) resume(ctx context.Context, s *server, token, room string) error {
	again, err := dial(ctx, s.addr)
	if err != nil {
		return err
	}
	_ = c.conn.Close()
	c.conn, c.buf = again.conn, again.buf
	if err := c.send(`{"op":"hello","token":"` + token + `"}`); err != nil {
		return err
	}
	if err := c.send(fmt.Sprintf(`{"op":"join","id":1,"room":"%s","position":"%d"}`, room, c.seq)); err != nil {
		return err
	}
	scratch := make([]byte, 4096)
	for stands, joined := c.seq, false; !joined; {
		if err := c.read(scratch, func(frame []byte) error {
			if joined = joined || bytes.HasPrefix(frame, []byte(`{"op":"joined"`)); joined && bytes.HasPrefix(frame, []byte(`{"op":"joined"`)) {
				if prev, _, err := span(frame); err != nil || prev != stands || bytes.Contains(frame, []byte(`"reset":`)) {
					return fmt.Errorf("resumed at %d, the page follows %d (%v): %.200s", stands, prev, err, frame)
				}
			}
			return c.look(frame)
		}); err != nil {
			return err
		}
	}
	return nil
}
