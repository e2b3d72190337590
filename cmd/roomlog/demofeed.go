package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// demoFeedCommand is a producer to look at: a small power station that posts what it measures.
type demoFeedCommand struct {
	Room  string  `default:"feed:demo" help:"Room to which the points go."`
	Rate  float64 `default:"10" help:"Points per second, 0.1 to 100; each has six series."`
	Count int     `placeholder:"N" help:"End when so many points are stored."`
	remoteFlags
}

const (
	// maxWaiting is how many points wait for a server that does not answer; of more, the oldest are dropped.
	maxWaiting = 1000
	// maxBatch is how many events a request may have (rule BATCH-1).
	maxBatch = 100
	// lastTry bounds how long the points that wait at the end are tried.
	lastTry = 2 * time.Second
)

// Run posts points until it is interrupted or has stored Count of them. One request is under way at a time; what is measured
// meanwhile goes with the next. One whose outcome is not known is repeated with the same tags, so that no point is stored twice.
func (d *demoFeedCommand) Run(c *console) error {
	if d.Rate < 0.1 || d.Rate > 100 {
		return usageError{fmt.Errorf("--rate is 0.1 to 100 points per second, not %v", d.Rate)}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	server, err := d.open(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%v points/s of %s to %s on %s; Ctrl-C ends it.\n", d.Rate, strings.Join(stationSeries, ", "), d.Room, d.URL)
	p := &producer{room: d.Room, server: server, console: c, station: newStation(time.Now()), landed: make(chan landing, 1)}
	err = p.run(ctx, time.Duration(float64(time.Second)/d.Rate), d.Count)
	fmt.Fprintf(c.out, "%d points stored, %d dropped.\n", p.stored, p.dropped)
	return err
}

// producer is a demo feed in progress.
type producer struct {
	room    string
	server  *remote // used by the request that is under way alone
	console *console
	station *station

	waiting         []outgoing // in order; the first flying of them are under way
	flying          int
	landed          chan landing
	retry           <-chan time.Time // nil: nothing is put off
	pause           time.Duration
	stored, dropped int
}

// landing is how a request ended.
type landing struct {
	results []result
	err     error
}

// result is what became of one event of a batch: a stored event or a problem (rule BATCH-1).
type result struct {
	Seq int64 `json:"seq"`
	problem
}

func (p *producer) run(ctx context.Context, every time.Duration, count int) error {
	// A request that is under way when the end is asked for is not given up half way.
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for count == 0 || p.stored < count {
		var err error
		select {
		case <-ctx.Done():
			return p.finish(work, giveUp)
		case now := <-ticker.C:
			if count == 0 || p.stored+len(p.waiting) < count {
				err = p.measure(now)
			}
		case <-p.retry:
			p.retry = nil
		case l := <-p.landed:
			err = p.land(l)
		}
		if err != nil {
			return err
		}
		p.launch(work)
	}
	return nil
}

// measure adds a point to those that wait.
func (p *producer) measure(now time.Time) error {
	data, err := json.Marshal(struct {
		T int64              `json:"t"`
		V map[string]float64 `json:"v"`
	}{now.UnixMilli(), p.station.at(now)})
	if err != nil {
		return fmt.Errorf("write a point: %w", err)
	}
	tag, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a tag: %w", err)
	}
	if len(p.waiting) >= maxWaiting {
		p.waiting = append(p.waiting[:p.flying], p.waiting[p.flying+1:]...)
		p.dropped++
	}
	p.waiting = append(p.waiting, outgoing{Tag: tag.String(), Type: "point", Data: data})
	return nil
}

// launch posts what waits, unless a request is under way or put off.
func (p *producer) launch(ctx context.Context) {
	if p.flying > 0 || p.retry != nil || len(p.waiting) == 0 {
		return
	}
	p.flying = min(len(p.waiting), maxBatch)
	body := struct {
		Events []outgoing `json:"events"`
	}{append([]outgoing(nil), p.waiting[:p.flying]...)}
	go func() {
		var answer struct {
			Results []result `json:"results"`
		}
		_, err := p.server.call(ctx, 0, http.MethodPost, events(p.room), body, &answer)
		p.landed <- landing{answer.Results, err}
	}()
}

// land takes off what was answered for good. What may succeed later stays, in its order.
func (p *producer) land(l landing) error {
	flown := p.flying
	p.flying = 0
	if l.err == nil && len(l.results) != flown {
		l.err = fmt.Errorf("%s does not answer as a Roomlog server: %d results for %d events", p.server.base, len(l.results), flown)
	}
	if l.err == nil {
		left := p.waiting[:0]
		for i, r := range l.results {
			if r.Seq > 0 {
				p.stored++
				continue
			}
			if _, retry := again(&r.problem, 0); !retry {
				return &r.problem
			}
			l.err = &r.problem
			left = append(left, p.waiting[i])
		}
		p.waiting = append(left, p.waiting[flown:]...)
	}
	if l.err == nil {
		p.pause = 0
		return nil
	}
	p.pause = min(max(2*p.pause, 250*time.Millisecond), 5*time.Second)
	wait, retry := again(l.err, p.pause)
	if !retry {
		return l.err
	}
	fmt.Fprintf(p.console.err, "roomlog: %s; trying again\n", oneLine(l.err))
	p.retry = time.After(wait)
	return nil
}

// finish waits for the request that is under way and posts what waits, once and not for long.
func (p *producer) finish(work context.Context, giveUp func()) error {
	late := time.AfterFunc(lastTry, giveUp)
	defer late.Stop()
	for p.retry = nil; len(p.waiting) > 0 && p.retry == nil; {
		p.launch(work)
		if err := p.land(<-p.landed); err != nil {
			return err
		}
	}
	p.dropped += len(p.waiting)
	return nil
}
