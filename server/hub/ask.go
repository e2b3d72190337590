package hub

import (
	"context"
	"sync"

	"roomlog/server/room"
)

const (
	// maxAsked bounds the sends that are asked about or wait for one that is, of all connections and of one.
	maxAsked        = 1024
	maxAskedPerConn = 128
)

// asks are the sends that somebody is asked about before they are queued (Submit.Ask). Each holds its place in
// the order of its sender meanwhile, and so do those behind it; other rooms and other connections go on.
//
// First its tag is looked up, by a repeat that goes through the appender like any: what is stored is answered
// from there, and nobody is asked twice about one event (rule HOOK-3). Then it is asked about, in a goroutine of
// its own with no lock held; then it is queued in its turn.
type asks struct {
	hub    *Hub
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup // added to only under mu while not closed

	mu     sync.Mutex
	closed bool
	count  int
	bytes  int64
}

func newAsks(h *Hub) *asks {
	a := &asks{hub: h}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// enter takes a place for p, or says why there is none; that is always retryable.
func (a *asks) enter(p *pending) *room.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return goingAway()
	case a.count >= maxAsked, a.bytes >= queueBytes, p.conn != nil && p.conn.asked.Load() >= maxAskedPerConn:
		a.hub.counts.overloads.Add(1)
		return overloaded("More sends wait to be judged than this server takes; try again.")
	}
	if p.conn != nil {
		p.conn.asked.Add(1)
	}
	p.asks = a
	p.weight = int64(len(p.Data))
	a.count++
	a.bytes += p.weight
	return nil
}

// leave gives the place of p back, if it has one. It is called with whatever lock guards p.
func (p *pending) leave() {
	a := p.asks
	if a == nil {
		return
	}
	p.asks = nil
	if p.conn != nil {
		p.conn.asked.Add(-1)
	}
	a.mu.Lock()
	a.count--
	a.bytes -= p.weight
	a.mu.Unlock()
}

// begin looks up the tag of p, which has a place.
func (a *asks) begin(p *pending) {
	q := &pending{Send: p.Send, permit: p.permit, since: p.since, done: func(o Outcome) { a.found(p, o) }}
	q.Repeat = true
	if err := a.hub.appender.admit(q); err != nil {
		a.decided(p, p.Send, &Outcome{Err: err})
	}
}

// found takes what is stored under the tag of p.
func (a *asks) found(p *pending, o Outcome) {
	if !o.Verdict.NotStored {
		a.decided(p, p.Send, &o)
		return
	}
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.tasks.Go(func() { a.run(p) })
	}
	a.mu.Unlock()
	if closed {
		a.decided(p, p.Send, &Outcome{Err: goingAway()})
	}
}

func (a *asks) run(p *pending) {
	send, err := p.Send, (*room.Error)(nil)
	if p.sender == nil || !p.sender.voids(p) {
		send, err = p.ask(a.ctx)
	}
	switch {
	case err == nil && send.Known != nil:
		k := send.Known
		a.decided(p, p.Send, &Outcome{Verdict: room.Verdict{Seq: k.Seq, Mark: k.Mark, At: k.At, Known: true}, Epoch: k.Epoch})
	case err == nil:
		a.decided(p, send, nil)
	case a.ctx.Err() != nil:
		a.decided(p, p.Send, &Outcome{Err: goingAway()})
	default:
		a.decided(p, p.Send, &Outcome{Err: err})
	}
}

// decided queues p as send in its turn, or answers it with o.
func (a *asks) decided(p *pending, send room.Send, o *Outcome) {
	app := a.hub.appender
	if p.sender != nil {
		p.sender.decided(app, p, send, o)
		return
	}
	p.leave()
	p.Send = send
	if o == nil {
		if err := app.admit(p); err != nil {
			o = &Outcome{Err: err}
		}
	}
	if o != nil {
		app.answer(p, *o)
	}
}

// close ends what is asked; its sends are refused as going_away.
func (a *asks) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
}
