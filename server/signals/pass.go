package signals

import (
	"encoding/json"
	"time"

	"roomlog/server/room"
)

// message is what nodes tell each other of a room's signals.
type message struct {
	Number uint64   `json:"i"` // the sender's: what has a lower one than was heard already comes late, and is dropped
	Set    []value  `json:"s,omitempty"`
	Gone   []string `json:"g,omitempty"`
	Ask    bool     `json:"a,omitempty"` // the sender wants to be told of all
}

// output is what is done once the lock is let go of.
type output struct {
	id   room.ID
	show *Update
	say  *message
}

// leastSleep is how long at least is between two runs of what is due.
const leastSleep = time.Millisecond

// do does what is due at a time, and says when something is next.
func (s *Signals) do(now time.Time) time.Time {
	outs, next := s.act(now)
	for _, out := range outs {
		if out.show != nil {
			s.cfg.Show(out.id, *out.show)
		}
		if out.say != nil && s.cfg.Say != nil {
			body, _ := json.Marshal(out.say) // it never fails: the data was checked
			s.cfg.Say(out.id, body)
		}
	}
	return next
}

func (s *Signals) act(now time.Time) (outs []output, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		r, due := s.agenda.First()
		if due.IsZero() || due.After(now) {
			return outs, due
		}
		s.expire(r, now)
		s.sayAgain(r, now)
		if !r.flush.IsZero() && !r.flush.After(now) {
			outs = append(outs, s.pass(r, now))
		}
		s.schedule(r)
		s.tidy(r)
	}
}

// expire ends what is over.
func (s *Signals) expire(r *space, now time.Time) {
	if r.ends.IsZero() || r.ends.After(now) {
		return
	}
	r.ends = time.Time{}
	for key, one := range r.signals {
		if !one.ends.IsZero() && !one.ends.After(now) {
			s.end(r, key)
		} else {
			r.ends = earlier(r.ends, one.ends)
		}
	}
}

// sayAgain has others told again of what goes on, as long as it does.
func (s *Signals) sayAgain(r *space, now time.Time) {
	if r.again.IsZero() || r.again.After(now) {
		return
	}
	r.again = time.Time{}
	for _, one := range r.signals {
		if one.from == "" && one.ends.IsZero() {
			r.again, r.all = now.Add(againEvery), true
			s.soon(r)
			return
		}
	}
}

// pass gives what changed to readers, and to other nodes.
func (s *Signals) pass(r *space, now time.Time) output {
	r.flush, r.last = time.Time{}, now
	out := output{id: r.id, show: &Update{Whole: r.whole}, say: &message{Ask: r.ask}}
	for key, own := range r.dirty {
		one := r.signals[key]
		if one == nil {
			out.show.Set = append(out.show.Set, Value{Key: key})
		} else {
			out.show.Set = append(out.show.Set, one.shown(key))
		}
		switch {
		case !own:
		case one == nil:
			out.say.Gone = append(out.say.Gone, key)
		case !r.all:
			out.say.Set = append(out.say.Set, one.value)
		}
	}
	if r.all || r.whole {
		r.fill(&out)
	}
	if !r.needed || !r.whole && len(out.show.Set) == 0 {
		out.show = nil
	} else {
		s.counts.Shown++
	}
	if len(out.say.Set) == 0 && len(out.say.Gone) == 0 && !out.say.Ask {
		out.say = nil
	} else {
		s.number++
		out.say.Number = s.number
		s.counts.Said++
	}
	clear(r.dirty)
	r.whole, r.all, r.ask = false, false, false
	return out
}

// fill adds what did not change, for who has nothing yet.
func (r *space) fill(out *output) {
	for key, one := range r.signals {
		if r.all && one.from == "" {
			out.say.Set = append(out.say.Set, one.value)
		}
		if _, has := r.dirty[key]; r.whole && !has {
			out.show.Set = append(out.show.Set, one.shown(key))
		}
	}
}

func (one *signal) shown(key string) Value {
	text, _ := json.Marshal(one.value) // it never fails: the data was checked
	return Value{Key: key, JSON: text}
}

// maxSpaceSignals bounds what is kept of other nodes for a room.
const maxSpaceSignals = 10_000

// Hear takes what another node said of a room; from tells its generation from all others.
func (s *Signals) Hear(from string, id room.ID, body []byte) {
	var m message
	if json.Unmarshal(body, &m) != nil || from == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Heard++
	r := s.rooms[id]
	if r == nil {
		return
	}
	if m.Ask && r.speaks() {
		r.all = true
		s.soon(r)
	}
	if !r.needed || m.Number <= r.heard[from] {
		return
	}
	r.heard[from] = m.Number
	for _, key := range m.Gone {
		if one := r.signals[key]; one != nil && one.from == from {
			s.end(r, key)
		}
	}
	now := time.Now()
	for _, v := range m.Set {
		key := v.id()
		if one := r.signals[key]; one != nil && one.from != from || one == nil && len(r.signals) >= maxSpaceSignals {
			continue // a connection is one node's
		}
		one := &signal{from: from, ends: now.Add(farLife), value: v}
		if v.Type == Typing {
			one.ends = now.Add(typingLife)
		}
		s.put(r, key, one)
	}
}

// speaks reports whether a connection of this node has a signal in the room.
func (r *space) speaks() bool {
	for _, g := range r.guests {
		if len(g.keys) > 0 {
			return true
		}
	}
	return false
}
