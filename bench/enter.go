package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialing is how many connections are opened at a time.
	dialing = 64
	// slack is how much longer than planned a loaded run may take before it has failed.
	slack = time.Minute
	// perAddress is how many connections come from one address and of one user: the server bounds both.
	perAddress = 15000
)

func sameUser(i int) string {
	if i < perAddress {
		return "bench"
	}
	return fmt.Sprintf("bench-%d", i/perAddress)
}

// senderUser: each is a user of its own, since a user may send only so fast.
func senderUser(i int) string { return fmt.Sprintf("sender-%d", i) }

// localAddr is where connection i comes from: all of 127/8 is this machine.
func localAddr(i int) net.Addr {
	if i < perAddress {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perAddress))}
}

// each calls f(0) … f(n-1) by as many goroutines as workers says, until one fails or ctx ends.
func each(ctx context.Context, n, workers int, f func(worker, i int) error) error {
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for !failed.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = f(w, i); errs[w] != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(anyOf(errs), ctx.Err())
}

// anyOf gives one of the errors of many goroutines, and how many more there are: they tend to say the same.
func anyOf(errs []error) error {
	var first error
	more := -1
	for _, err := range errs {
		if err != nil {
			if first == nil {
				first = err
			}
			more++
		}
	}
	if more > 0 {
		return fmt.Errorf("%w (and %d more)", first, more)
	}
	return first
}

// enterAll opens n connections; connection i is that of user(i) and joins room(i), or none where that is
// empty. They are closed when ctx ends, so that nothing which waits for one outlives it.
func (t *trial) enterAll(ctx context.Context, n int, user, room func(int) string) ([]*client, error) {
	return t.enterOn(ctx, n, func(int) server { return t.server }, user, room)
}

// enterOn opens n connections, connection i to server on(i).
func (t *trial) enterOn(ctx context.Context, n int, on func(int) server, user, room func(int) string) ([]*client, error) {
	done := t.step("connecting", n)
	clients := make([]*client, n)
	for i := range clients {
		s := on(i)
		_, stream := s.(interface{ streamed() })
		clients[i] = &client{says: s, room: room(i), beside: t.beside, stream: stream}
	}
	var last [dialing]struct { // of a worker: a token serves until the user or the server is another
		server server
		user   string
		token  string
	}
	err := each(ctx, n, dialing, func(w, i int) (err error) {
		l, c := &last[w], clients[i]
		if l.user != user(i) || l.server != on(i) {
			if l.token, err = on(i).token(ctx, user(i)); err != nil {
				return err
			}
			l.user, l.server = user(i), on(i)
		}
		c.token = l.token
		if err := c.connect(ctx, localAddr(i), on(i).at()); err != nil {
			return err
		}
		if err := c.upgraded(); err != nil {
			return err
		}
		done.Add(1)
		return c.enter()
	})
	if err != nil {
		closeAll(clients)
		return nil, err
	}
	context.AfterFunc(ctx, func() { closeAll(clients) })
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.close()
	}
}

// newTag makes a UUID of version 7 (RFC 9562), as the client library does.
func newTag() string {
	var b [36]byte
	return string(appendTag(b[:0]))
}

func appendTag(b []byte) []byte {
	const digits = "0123456789abcdef"
	ms := uint64(time.Now().UnixMilli())
	high, low := ms<<16|0x7000|rand.Uint64()&0xfff, rand.Uint64()&^(3<<62)|2<<62
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b = append(b, '-')
		}
		of := high
		if i >= 16 {
			of = low
		}
		b = append(b, digits[of>>(60-4*(i%16))&15])
	}
	return b
}
