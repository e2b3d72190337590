package chaos

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 16 << 10
	// maxHeld bounds what a delay or a throttle may hold per line; beyond it the line stops
	// reading, and the sender feels it.
	maxHeld = 1 << 20
	// sliceTime is how finely a throttle cuts: each write carries what the rate allows in it.
	sliceTime = 20 * time.Millisecond
)

// line carries one direction of a connection. Its goroutine owns all of it but what is marked.
type line struct {
	conn      *conn
	direction Direction
	src, dst  *net.TCPConn
	sent      atomic.Int64 // bytes delivered; anyone may read it
	sieve     *sieve       // of the messages that it carries; nil: bytes are just bytes

	held     []chunk // read, not delivered
	heldSize int
	readAll  bool      // the end of src is among held, or passed on
	nextAt   time.Time // a throttle's next write

	counted   *setFault // the cut-after that countFrom belongs to
	countFrom int64     // sent when counted came into force

	// mu orders a change of faults with the setting of a read deadline, so that no wake is lost.
	mu sync.Mutex
}

// chunk is some bytes, or the end of the stream.
type chunk struct {
	data []byte
	end  error // io.EOF for a half-close, another error for a reset; nil: data
	at   time.Time
	due  time.Time // zero until a delay has looked at it
}

// attach gives the line an end it lacked.
func (l *line) attach(src, dst *net.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if src != nil {
		l.src = src
	}
	if dst != nil {
		l.dst = dst
	}
}

// wake makes a read that waits return, so that the line looks at the faults again.
func (l *line) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.src != nil {
		_ = l.src.SetReadDeadline(time.Unix(1, 0))
	}
}

// run forwards until the stream has ended or the connection is broken.
func (l *line) run() {
	buf := make([]byte, chunkSize)
	for {
		set := l.conn.proxy.faults.Load()
		fault := set.of(l.conn.className(), l.direction)
		if fault.Kind == Blackhole {
			if !l.wait(set, time.Time{}) {
				return
			}
			continue
		}
		expires := l.conn.expires(fault)
		if !expires.IsZero() && !time.Now().Before(expires) {
			l.conn.reset()
			return
		}
		late := l.ripen()
		due, more := l.deliver(set, fault)
		due = soonest(due, late, expires)
		switch {
		case !more:
			return
		case set != l.conn.proxy.faults.Load():
		case l.readAll || l.heldSize >= maxHeld:
			if !l.wait(set, due) {
				return
			}
		default:
			l.read(buf, set, due)
		}
	}
}

// soonest is the earliest of times; those that are zero do not count.
func soonest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// hold adds bytes to what is to be delivered.
func (l *line) hold(data []byte, at time.Time) {
	l.held = append(l.held, chunk{data: data, at: at})
	l.heldSize += len(data)
}

// ripen holds the late messages that are due, and returns when the next one is (zero: there is none).
func (l *line) ripen() (next time.Time) {
	if l.sieve == nil {
		return next
	}
	now := time.Now()
	ripe, next := l.sieve.ripe(now)
	for _, data := range ripe {
		l.hold(data, now)
	}
	return next
}

// deliver writes what may be written under fault. It returns when the next of what is held is due
// (zero: nothing is held), and more == false when the line has ended.
func (l *line) deliver(set *faultSet, fault *setFault) (due time.Time, more bool) {
	for len(l.held) > 0 {
		if set != l.conn.proxy.faults.Load() {
			return due, true
		}
		head := &l.held[0]
		if due := l.dueAt(head, fault); time.Now().Before(due) {
			return due, true
		}
		if head.end != nil {
			l.finish(head.end)
			return due, false
		}
		n, cut := l.allowed(len(head.data), fault)
		if n > 0 {
			wrote, err := l.dst.Write(head.data[:n])
			l.sent.Add(int64(wrote))
			if err != nil {
				// dst is dead, so the other line ends too; it may still have bytes to deliver.
				return due, false
			}
			l.heldSize -= n
			head.data = head.data[n:]
			if fault.Kind == Throttle {
				l.nextAt = time.Now().Add(time.Duration(float64(n) / float64(fault.Rate) * float64(time.Second)))
			}
		}
		if cut && l.cutHere(fault) {
			return due, false
		}
		if len(head.data) == 0 {
			l.held = l.held[1:]
		}
	}
	l.held = nil // let the array go; the next chunk starts a new one
	return due, true
}

// dueAt is when the chunk may be written under fault.
func (l *line) dueAt(c *chunk, fault *setFault) time.Time {
	switch fault.Kind {
	case Throttle:
		return l.nextAt
	case Delay:
		if c.due.IsZero() {
			c.due = c.at.Add(fault.Delay)
			if fault.Jitter > 0 {
				c.due = c.due.Add(rand.N(fault.Jitter))
			}
		}
		return c.due
	}
	return time.Time{}
}

// allowed is how many of the next n bytes may be written at once, and whether the connection is to
// be cut instead of writing the byte after them.
func (l *line) allowed(n int, fault *setFault) (int, bool) {
	switch fault.Kind {
	case Throttle:
		slice := fault.Rate * int64(sliceTime) / int64(time.Second)
		return int(min(int64(n), max(slice, 1))), false
	case CutAfter:
		if l.counted != fault {
			l.counted, l.countFrom = fault, l.sent.Load()
		}
		left := fault.Bytes - (l.sent.Load() - l.countFrom)
		if int64(n) > left {
			return int(max(left, 0)), true
		}
	}
	return n, false
}

// cutHere cuts the connection at this byte, unless the fault is spent. The bytes before it have to
// arrive, so dst gets an ordinary end behind them; src gets a reset.
func (l *line) cutHere(fault *setFault) bool {
	if !l.conn.proxy.spend(fault) {
		return false
	}
	reset(l.src)
	_ = l.dst.CloseWrite()
	_ = l.dst.CloseRead() // ends the other line's read
	l.conn.cancel()
	return true
}

// finish passes the end of src on to dst.
func (l *line) finish(end error) {
	if errors.Is(end, io.EOF) {
		_ = l.dst.CloseWrite()
		return
	}
	l.conn.reset()
}

// read takes the next bytes of src into held. It returns early when the faults change or at due.
func (l *line) read(buf []byte, set *faultSet, due time.Time) {
	l.mu.Lock()
	if set != l.conn.proxy.faults.Load() {
		l.mu.Unlock()
		return
	}
	err := l.src.SetReadDeadline(due)
	l.mu.Unlock()
	n := 0
	if err == nil {
		n, err = l.src.Read(buf)
	}
	now := time.Now()
	if n > 0 {
		if l.direction == Up {
			l.conn.classify(buf[:n])
		}
		if l.sieve == nil {
			l.hold(append([]byte(nil), buf[:n]...), now)
		} else {
			for _, data := range l.sieve.take(buf[:n], now) {
				l.hold(data, now)
			}
		}
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.held = append(l.held, chunk{end: err, at: now})
		l.readAll = true
	}
}

// wait blocks until due (zero: for ever) or until the faults are no longer set; false means that
// the connection is broken.
func (l *line) wait(set *faultSet, due time.Time) bool {
	var alarm <-chan time.Time
	if !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-alarm:
	case <-set.changed:
	case <-l.conn.ctx.Done():
		return false
	}
	return true
}
