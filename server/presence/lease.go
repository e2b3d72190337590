package presence

import (
	"context"
	"time"

	"roomlog/server/room"
)

// holdLease holds this node's lease and learns who else lives, until Stop.
func (p *Presence) holdLease() {
	for {
		began := time.Now()
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.Renew)
		again := p.renew(ctx)
		cancel()
		wait := p.cfg.Renew - time.Since(began)
		if again {
			wait = p.cfg.Renew / 10
		}
		timer := time.NewTimer(max(wait, p.cfg.Renew/10))
		select {
		case <-p.ctx.Done():
			timer.Stop()
			return
		case <-p.lease:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// renew gives a sign of life and takes those of others. again: it is tried again soon, since this node has no lease though
// the server answers.
func (p *Presence) renew(ctx context.Context) (again bool) {
	p.mu.Lock()
	own := p.self()
	p.mu.Unlock()
	if own.Generation != 0 {
		held, err := p.cfg.Leases.Renew(ctx, own, p.cfg.Lease)
		if err != nil {
			p.trouble(err)
			return false
		}
		if !held {
			p.cfg.Log.Warn("presence: the lease of this node has ended; it takes another")
			p.mu.Lock()
			p.loseLease()
			p.mu.Unlock()
			own.Generation = 0
		}
	}
	if own.Generation == 0 {
		generation, err := p.cfg.Leases.Hold(ctx, p.cfg.Node, p.cfg.Lease)
		if err != nil {
			p.trouble(err)
			return false
		}
		own.Generation = generation
		p.held(generation)
	}
	began := time.Now()
	all, err := p.cfg.Leases.List(ctx)
	if err != nil {
		p.trouble(err)
		return false
	}
	return p.learn(own, all, began)
}

// trouble notes that the leases do not answer.
func (p *Presence) trouble(err error) {
	if p.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.troubled {
		p.cfg.Log.Warn("presence: the leases do not answer; nobody is taken to be gone meanwhile", "error", err)
		p.troubled = true
		p.shaken(time.Now())
	}
}

// loseLease says that this node holds no lease any more. The caller holds p.mu.
func (p *Presence) loseLease() {
	p.generation = 0
	p.troubled = true
	p.shaken(time.Now())
	select {
	case p.lease <- struct{}{}:
	default:
	}
}

// held says that this node speaks under a new generation from now on: whoever follows a room is told
// all there is, spread over a moment.
func (p *Presence) held(generation room.Generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.generation = generation
	if generation > p.highest[p.cfg.Node] {
		p.supersede(p.self(), now)
	}
	for _, at := range p.places {
		at.told, at.keepTold, at.answer, at.echo = 0, false, true, time.Time{}
		at.followed = now.Add(followedFor * p.cfg.AskEvery) // who asked meanwhile may not have been heard
		if at.flush.IsZero() {
			at.flush = now.Add(jitter(p.spread()))
			at.schedule()
		}
	}
}

// learn takes the leases that were held after began. Where this node's own is not among them the server lost what it kept, or this node
// was away for too long: it is no sign of others then (see [room.Leases]).
func (p *Presence) learn(own room.Lease, all []room.Lease, began time.Time) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation != own.Generation {
		return true // it was given up meanwhile
	}
	found := false
	for _, lease := range all {
		found = found || lease == own
	}
	now := time.Now()
	if !found {
		p.loseLease()
		return true
	}
	p.meet(all, now)
	if p.troubled {
		p.cfg.Log.Info("presence: the leases answer")
		p.troubled = false
		p.shaken(now)
	}
	p.leased(all, began, now)
	return false
}
