package presence

import (
	"context"
	"time"

	"roomlog/server/room"
)

const (
	seenEvery = time.Minute            // how often it is stored that a user is there
	seenFor   = seenEvery * 3 / 2      // for how long one who was stored counts as there
	seenTick  = 2 * time.Second        // how often what there is to store is stored
	seenBatch = 500                    // users at a time
	seenStop  = 500 * time.Millisecond // what the last of it may take
)

// stay is that a user is present over this node.
type stay struct {
	entries int
	stored  time.Time // when that was given to be stored
}

// enters notes an own entry.
func (p *Presence) enters(user string) {
	one := p.here[user]
	if one == nil {
		one = &stay{}
		p.here[user] = one
	}
	one.entries++
}

// leaves notes the end of an own entry, at a time; known says that the user is there over another node.
func (p *Presence) leaves(user string, at time.Time, known bool) {
	one := p.here[user]
	if one == nil {
		return
	}
	if one.entries--; one.entries > 0 {
		return
	}
	delete(p.here, user)
	if p.cfg.Seen != nil && !known {
		at = at.UTC().Truncate(time.Microsecond)
		p.unseen[user] = room.LastSeen{User: user, At: at, Until: at}
	}
}

// keepSeen has stored who is there and who has gone, until Stop.
func (p *Presence) keepSeen() {
	ticker := time.NewTicker(seenTick)
	defer ticker.Stop()
	for {
		select {
		case <-p.ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), seenStop)
			defer cancel()
			p.storeSeen(ctx)
			return
		case <-ticker.C:
			p.storeSeen(p.ctx)
		}
	}
}

// storeSeen stores what is due. What could not be stored is tried again, unless something newer has come.
func (p *Presence) storeSeen(ctx context.Context) {
	list := p.dueSeen(time.Now())
	for len(list) > 0 {
		some := list[:min(seenBatch, len(list))]
		list = list[len(some):]
		if err := p.cfg.Seen(ctx, some); err != nil {
			p.cfg.Log.Debug("presence: when users were there is not stored", "error", err)
			p.mu.Lock()
			for _, one := range some {
				if _, newer := p.unseen[one.User]; !newer && p.here[one.User] == nil {
					p.unseen[one.User] = one
				}
			}
			p.mu.Unlock()
		}
	}
}

func (p *Presence) dueSeen(now time.Time) []room.LastSeen {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]room.LastSeen, 0, len(p.unseen))
	for user, one := range p.unseen {
		if p.here[user] == nil {
			list = append(list, one)
		}
	}
	clear(p.unseen)
	at := now.UTC().Truncate(time.Microsecond)
	for user, one := range p.here {
		if now.Sub(one.stored) >= seenEvery {
			one.stored = now
			list = append(list, room.LastSeen{User: user, At: at, Until: at.Add(seenFor)})
		}
	}
	return list
}

// Stale reports whether users who are at other nodes may have come or gone unnoticed.
func (p *Presence) Stale() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stale()
}

// Rooms are the rooms that this node knows a user to be in, at most so many.
func (p *Presence) Rooms(user string, most int) []room.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []room.ID
	for at := range p.known[user] {
		if len(all) < most {
			all = append(all, at.id)
		}
	}
	return all
}
