package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// readAgain has every reader that stopped read on to the head, and says how many had been cut and came back.
func readAgain(ctx context.Context, s *roomlog, stopped []*client, head int64) (cut int, took time.Duration, err error) {
	started := time.Now()
	var resumed atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(stopped))
	for i, c := range stopped {
		wg.Go(func() {
			n, err := c.readOn(ctx, s.addr, head, started.Add(readAgainWithin))
			resumed.Add(min(n, 1))
			if errs[i] = err; err == nil && (c.seq != head || c.got != head) {
				errs[i] = fmt.Errorf("reader %d has %d events and stands at %d of %d", i, c.got, c.seq, head)
			}
		})
	}
	wg.Wait()
	return int(resumed.Load()), time.Since(started), anyOf(errs)
}

// readOn reads to the head; where the server has cut the connection, it resumes on another. It says how often.
func (c *client) readOn(ctx context.Context, addr string, head int64, deadline time.Time) (resumed int64, err error) {
	c.piece(largePiece)
	for ; ; resumed++ {
		err := c.conn.SetDeadline(deadline)
		for err == nil && c.seq < head {
			err = c.read()
		}
		if err == nil || !cutOff(err) || time.Now().After(deadline) {
			return resumed, err
		}
		c.position = strconv.FormatInt(c.seq, 10)
		if err := c.connect(ctx, nil, addr); err != nil {
			return resumed, err
		}
		if err := errors.Join(c.upgraded(), c.enter()); err != nil {
			return resumed, err
		}
	}
}

// cutOff reports whether an error is the end of the connection, and not something wrong with what was read.
func cutOff(err error) bool {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return refused.of("ping_timeout", "slow_consumer") // the end follows
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
