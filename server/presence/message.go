package presence

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"time"

	"roomlog/server/room"
)

// message is what nodes tell each other about a room. Its number is the sender's, higher than that of any message it sent before; Prev
// is the number of the one before about the room, so that a lost one is missed.
type message struct {
	Node       string          `json:"n"`
	Generation room.Generation `json:"v"`
	Number     uint64          `json:"i,omitempty"`
	Prev       uint64          `json:"p,omitempty"`
	Full       bool            `json:"f,omitempty"` // what is not named is gone; so it is where there is no Prev
	More       bool            `json:"m,omitempty"` // of what is full, more follows
	Set        []told          `json:"s,omitempty"`
	Gone       []string        `json:"g,omitempty"` // connections
	Keep       int64           `json:"k,omitempty"` // milliseconds: the sender drains, and what it said stays so long

	Ask  bool    `json:"a,omitempty"` // the sender wants to know of the room; the fields above but for Node and Generation are empty
	Have []have  `json:"h,omitempty"` // what it has
	Room room.ID `json:"r,omitempty"` // of which all nodes are asked
}

// told is an entry.
type told struct {
	Connection string          `json:"c"`
	User       string          `json:"u"`
	Idle       bool            `json:"i,omitempty"`
	Since      int64           `json:"s"` // microseconds since 1970
	Data       json.RawMessage `json:"d,omitempty"`
	Stamp      uint64          `json:"t,omitempty"`
	Leaving    bool            `json:"l,omitempty"`
}

// have is what a node has of another's entries of a room.
type have struct {
	Node       string          `json:"n"`
	Generation room.Generation `json:"v"`
	Digest     uint64          `json:"d"`
}

// unheard is what is named as the digest of a node from which an answer is wanted in any case: no entries have it.
const unheard = ^uint64(0)

// fullBytes is about how many bytes of entries one message carries.
const fullBytes = 128 << 10

// digestOf is equal where the same entries are the same. Of data it has the stamp.
func digestOf(entries map[string]*entry) uint64 {
	var all uint64
	for _, e := range entries {
		h := fnv.New64a()
		var b [18]byte
		binary.BigEndian.PutUint64(b[:], uint64(e.since.UnixMicro()))
		binary.BigEndian.PutUint64(b[8:], e.stamp)
		if e.idle {
			b[16] = 1
		}
		if e.leaving {
			b[17] = 1
		}
		_, _ = h.Write(b[:]) // it never fails
		_, _ = h.Write([]byte(e.connection + "\n" + e.user))
		all ^= h.Sum64()
	}
	return all
}

// sayAsk asks the other nodes for a room, and says what is known here. Where some are silent all are asked: who has the room in memory no
// more, or not yet, hears nothing of it.
func (at *place) sayAsk(now time.Time, out *output) {
	p := at.p
	m := message{Node: p.cfg.Node, Generation: p.generation, Ask: true}
	for lease, one := range at.parts {
		digest := unheard
		if one.whole {
			digest = digestOf(one.entries)
		}
		m.Have = append(m.Have, have{lease.Name, lease.Generation, digest})
	}
	if at.silent == 0 {
		out.say(at.id, &m)
		at.ask = now.Add(p.cfg.AskEvery + jitter(p.cfg.AskEvery/2))
		return
	}
	m.Room = at.id
	body, _ := json.Marshal(&m) // it never fails
	out.asks = append(out.asks, body)
	at.ask = at.askAgain(now)
	if now.Sub(at.doubted) >= p.patience() {
		at.flushSoon() // it took too long to say nothing of it
	}
}

// tell tells others what changed of this node's entries, or all there is.
func (at *place) tell(now time.Time, out *output) {
	p := at.p
	untold, full := at.untold, at.answer
	if !p.shared() || !at.followed.After(now) {
		clear(at.untold) // nobody wants to know
		at.answer = false
		return
	}
	if p.generation == 0 {
		return // once the lease is held
	}
	at.untold, at.answer = make(map[string]*entry), false
	if full {
		untold = at.own
	} else if len(untold) == 0 && (!p.draining || at.keepTold) {
		return
	}
	m, size := at.message(full), 0
	for connection, e := range untold {
		if e == nil {
			m.Gone = append(m.Gone, connection)
			continue
		}
		m.Set = append(m.Set, told{connection, e.user, e.idle, e.since.UnixMicro(), e.data, e.stamp, e.leaving})
		if size += len(connection) + len(e.user) + len(e.data) + 80; size > fullBytes {
			m.More = full
			out.say(at.id, m)
			m, size = at.message(false), 0
		}
	}
	out.say(at.id, m)
	switch {
	case len(untold) > 0:
		at.echo = now.Add(p.spread())
	case full:
		at.told = 0 // what is said next is all again
	}
}

// sayEcho says nothing new: it shows whoever missed the message before that there was one, well within the grace.
func (at *place) sayEcho(now time.Time, out *output) {
	at.echo = time.Time{}
	if at.p.generation != 0 && at.followed.After(now) {
		out.say(at.id, at.message(false))
	}
}

// message begins the next message about the room.
func (at *place) message(full bool) *message {
	p := at.p
	p.number++
	m := &message{Node: p.cfg.Node, Generation: p.generation, Number: p.number, Prev: at.told, Full: full}
	at.told = p.number
	if p.draining {
		m.Keep, at.keepTold = p.keep.Milliseconds(), true
	}
	return m
}

func (o *output) say(id room.ID, m *message) {
	body, _ := json.Marshal(m) // it never fails: what the data holds was checked
	o.says = append(o.says, said{id, body})
}

// Hear takes what another node said of a room, or this one. id is empty where it said it to all.
func (p *Presence) Hear(id room.ID, body []byte) {
	var m message
	if json.Unmarshal(body, &m) != nil || !room.ValidLeaseName(m.Node) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Node == p.cfg.Node && m.Generation == p.generation {
		return // its own
	}
	p.counts.Heard++
	now := time.Now()
	var one *peer
	if m.Generation != 0 {
		one = p.heardFrom(room.Lease{Name: m.Node, Generation: m.Generation}, now) // who speaks of any room lives, and is asked for others
	}
	if id == "" {
		id = m.Room
	}
	at := p.places[id]
	switch {
	case m.Ask:
		p.asked(id, at, &m, now)
	case at != nil && at.follows(now) && one != nil:
		at.take(one, &m, now)
	}
}

// followedFor is for how many times AskEvery a room is told of after somebody asked for it: two asks in a row may be lost.
const followedFor = 4

// asked notes that another node wants to know of a room, and tells it what it lacks; who waits for an answer and has all is told that this is all.
func (p *Presence) asked(id room.ID, at *place, m *message, now time.Time) {
	var has uint64
	for _, one := range m.Have {
		if one.Node == p.cfg.Node && one.Generation == p.generation {
			has = one.Digest
		}
	}
	switch {
	case id == "" || at == nil && has == 0:
		return
	case at == nil:
		at = p.place(id) // until it has said that it has nothing
	}
	at.followed = now.Add(followedFor * p.cfg.AskEvery)
	switch {
	case digestOf(at.own) == has:
		if m.Room != "" {
			at.echo = now
		}
	case at.reply.IsZero():
		at.reply = now
		if next := at.replied.Add(p.cfg.Coalesce); next.After(now) {
			at.reply = next
		}
	}
	at.schedule()
}
