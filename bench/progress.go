package bench

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// sayEvery is how often a run that lasts says how far it is.
const sayEvery = 2 * time.Second

// progress says what a run is doing, while it runs.
type progress struct {
	out   io.Writer
	label string
	quit  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	doing   string
	of      int
	lasts   time.Duration
	done    *atomic.Int64
	started time.Time
}

func startProgress(out io.Writer, label string) *progress {
	p := &progress{out: out, label: label, quit: make(chan struct{}), ended: make(chan struct{})}
	p.step("starting", 0)
	go func() {
		defer close(p.ended)
		look := time.NewTicker(sayEvery)
		defer look.Stop()
		for {
			select {
			case <-p.quit:
				return
			case <-look.C:
				p.say()
			}
		}
	}()
	return p
}

// is says what the run is at, in place of what it was at.
func (p *progress) is(label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label = label
}

// step begins something that is done when the counter has reached of; 0 has no end that is known.
func (p *progress) step(doing string, of int) *atomic.Int64 {
	done := new(atomic.Int64)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing, p.of, p.lasts, p.done, p.started = doing, of, 0, done, time.Now()
	return done
}

// lasting begins something that takes so long.
func (p *progress) lasting(doing string, d time.Duration) {
	p.step(doing, 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lasts = d
}

func (p *progress) say() {
	p.mu.Lock()
	defer p.mu.Unlock()
	far := ""
	if n := p.done.Load(); p.of > 0 {
		far = fmt.Sprintf(" %d of %d,", n, p.of)
	} else if n > 0 {
		far = fmt.Sprintf(" %d,", n)
	}
	seconds := fmt.Sprintf("%.0f s", time.Since(p.started).Seconds())
	if p.lasts > 0 {
		seconds += fmt.Sprintf(" of %.0f s", p.lasts.Seconds())
	}
	fmt.Fprintf(p.out, "%s: %s,%s %s\n", p.label, p.doing, far, seconds)
}

// stop ends it; nothing is printed afterwards.
func (p *progress) stop() {
	close(p.quit)
	<-p.ended
}
