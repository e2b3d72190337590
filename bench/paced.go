package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

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
			var data []byte
			for sent := 0; sent == 0 || time.Now().Before(stop); sent++ {
				n := l.counts[i][room] + 1
				data = appendBody(data[:0], i, n, pacedBytes)
				if _, errs[i] = c.publish(&send{room: room, n: n, tag: newTag(), data: data}); errs[i] != nil {
					return
				}
				l.counts[i][room] = n
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
