package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// pacedLoad writes at a steady rate, one send of each sender in flight.
type pacedLoad struct {
	senders []*sender
}

// run writes to a room for d.
func (l *pacedLoad) run(ctx context.Context, room string, d time.Duration) error {
	every := time.Second * pacedBytes * pacedSenders / bytesPerSecond
	stop := time.Now().Add(d)
	errs := make([]error, len(l.senders))
	var wg sync.WaitGroup
	for i, c := range l.senders {
		wg.Go(func() {
			if errs[i] = c.conn.SetDeadline(stop.Add(slack)); errs[i] != nil {
				return
			}
			pace := time.NewTicker(every)
			defer pace.Stop()
			for sent := 0; sent == 0 || time.Now().Before(stop); sent++ {
				if _, errs[i] = c.send(room, pacedBytes); errs[i] != nil {
					return
				}
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
	for _, c := range l.senders {
		n += c.bodies[room]
	}
	return n
}

func (l *pacedLoad) total() (n int64) {
	for _, c := range l.senders {
		for _, of := range c.bodies {
			n += of
		}
	}
	return n
}
