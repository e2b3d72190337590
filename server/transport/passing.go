package transport

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// The command of a stream may reach a node that does not hold the stream. What concerns the connection itself (presence, signals, a
// side again) only the node that holds it can do, so it is passed there, and answered as that node answers (rule SESS-9). Nothing
// waits for that but the request itself: what is under way is a callback and a timer, and there is an end to how many.

const (
	// passedWithin is how long the node that holds a stream has to answer.
	passedWithin = 800 * time.Millisecond
	// passedAtOnce is how many commands of a node may be unanswered by others, and doneAtOnce how many of others it does at a time.
	passedAtOnce = 4096
	doneAtOnce   = 256
	// passedBytes is the longest frame that is passed: twelve times what any of them needs.
	passedBytes = 64 << 10
	// passersKnown is how many nodes are remembered by their numbers.
	passersKnown = 1024
)

// passing is what a node has passed to others, and what others have passed to it.
type passing struct {
	mu      sync.Mutex
	number  uint64 // of the last message
	waiting map[uint64]*passed
	heard   map[string]uint64 // by node, the last number: what has a lower one comes again, or late
	doing   int               // commands of others
}

// passed is a command that another node is asked to do.
type passed struct {
	holder string
	answer func([]byte, error)
	late   *time.Timer
}

// note is what one node says to another: the header, as JSON, of a frame or of the payload of an answer. One with a connection asks,
// one without answers.
type note struct {
	Number     uint64      `json:"n"` // of the sender, ever higher; in an answer that of the question
	Connection string      `json:"c,omitempty"`
	User       string      `json:"u,omitempty"` // whose connection it is
	Sent       room.ID     `json:"s,omitempty"` // in place of a frame: the connection has sent to this room, which is not answered
	Err        *room.Error `json:"e,omitempty"` // the answer is this error
}

// say tells another node something. It must not block.
func (s *Server) say(node string, n note, body []byte) {
	head, _ := json.Marshal(n) // it has nothing that does not marshal
	s.cfg.SayTo(node, append(append(head, '\n'), body...))
}

// notHere refuses what the node that holds a stream did not answer.
func notHere() error {
	return &room.Error{
		Code: room.CodeUnavailable, RetryAfter: 100 * time.Millisecond,
		Title: "The server that holds this stream does not answer; ask again.",
	}
}

// noStream refuses what is asked of a stream that there is not.
func noStream() error {
	return &room.Error{Code: room.CodeNotFound, Title: "There is no such stream, or this is not its secret."}
}

// busyPassing refuses what is too much to be passed just now.
func busyPassing(limit int64) *room.Error {
	return &room.Error{
		Code: room.CodeOverloaded, Limit: limit, RetryAfter: time.Second,
		Title: "Too many commands wait for the servers that hold their streams; try again.",
	}
}

// pass has the node that holds a stream do a command. answer is called once, as that of [besides] is.
func (c command) pass(answer func([]byte, error)) {
	p := &c.srv.passing
	switch {
	case c.srv.cfg.SayTo == nil:
		answer(nil, notHere())
		return
	case len(c.frame) > passedBytes:
		answer(nil, &room.Error{Code: room.CodeMessageTooLarge, Limit: passedBytes, Title: "A frame that concerns a stream is shorter than this."})
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) >= passedAtOnce {
		answer(nil, busyPassing(passedAtOnce))
		return
	}
	p.number++
	number := p.number
	p.waiting[number] = &passed{holder: c.holder, answer: answer, late: time.AfterFunc(passedWithin, func() {
		if late := p.take(number, c.holder); late != nil {
			late.answer(nil, notHere())
		}
	})}
	c.srv.say(c.holder, note{Number: number, Connection: c.id, User: c.who.User}, c.frame) // with the lock: in the order of the numbers
}

// passSent tells the node that holds a stream that it has sent to a room (rule SIG-4). Where that is lost, typing ends by itself.
func (c command) passSent(id room.ID) {
	p := &c.srv.passing
	if policy, _ := c.srv.cfg.Kinds.Policy(id.Kind()); c.srv.cfg.SayTo == nil || c.srv.cfg.Signals == nil || policy.NoSignals {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	c.srv.say(c.holder, note{Number: p.number, Connection: c.id, User: c.who.User, Sent: id}, nil)
}

// take is the command of a number that a node was asked to do, which nobody else is given; nil: it is answered already.
func (p *passing) take(number uint64, holder string) *passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[number]
	if w == nil || w.holder != holder {
		return nil
	}
	delete(p.waiting, number)
	return w
}

// HearFrom takes what another node says to this one by Config.SayTo. from is who says it. It does not block.
func (s *Server) HearFrom(from string, body []byte) {
	head, rest, whole := bytes.Cut(body, []byte("\n"))
	var n note
	if !whole || json.Unmarshal(head, &n) != nil {
		return // of a newer node
	}
	if n.Connection == "" {
		if w := s.passing.take(n.Number, from); w != nil {
			w.late.Stop()
			w.told(n, rest)
		}
		return
	}
	switch isNew, tooMany := s.passing.accepts(from, n); {
	case !isNew:
	case n.Sent != "":
		if s.streams.held(n.Connection, n.User) != nil {
			s.sentBy(n.Sent, n.Connection)
		}
	case tooMany:
		s.say(from, note{Number: n.Number, Err: busyPassing(doneAtOnce)}, nil)
	default:
		s.crew.work(&favour{srv: s, from: from, note: n, frame: rest})
	}
}

func (w *passed) told(n note, payload []byte) {
	switch {
	case n.Err != nil:
		w.answer(nil, n.Err)
	case len(payload) == 0:
		w.answer(nil, nil)
	default:
		w.answer(payload, nil)
	}
}

// accepts counts in what another node asks, unless as much is done already. What is not new was asked before, or is late: it must bring
// nothing back (rule SIG-5).
func (p *passing) accepts(from string, n note) (isNew, tooMany bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.Number <= p.heard[from] {
		return false, false
	}
	if len(p.heard) >= passersKnown {
		clear(p.heard) // nearly all of them ended long ago
	}
	p.heard[from] = n.Number
	if tooMany = p.doing >= doneAtOnce; !tooMany && n.Sent == "" {
		p.doing++
	}
	return true, tooMany
}

// favour is a command that this node does for another one. It is a chore: whether the room may be read is perhaps asked of the store.
type favour struct {
	srv   *Server
	from  string
	note  note
	frame []byte
}

// do implements chore. What it can be asked is what the node that got it would do itself, were the stream its own, and is judged alike.
func (f *favour) do() {
	var err error
	defer func() {
		if err != nil {
			f.answer(nil, err)
		}
	}()
	defer f.srv.rescue(&err)
	t := f.srv.streams.held(f.note.Connection, f.note.User)
	if t == nil {
		err = noStream()
		return
	}
	req, fault := wire.ParseRequest(f.frame)
	if err = fault; err != nil {
		return
	}
	if err = t.enter(req.Op); err != nil {
		return
	}
	f.srv.aside(t.command().asker(), &req, func(payload []byte, err error) {
		t.leave()
		f.answer(payload, err)
	})
}

// answer tells the node that asked.
func (f *favour) answer(payload []byte, err error) {
	p := &f.srv.passing
	p.mu.Lock()
	p.doing--
	p.mu.Unlock()
	n := note{Number: f.note.Number}
	if err != nil {
		e := *room.AsError(err)
		if e.Cause != nil {
			f.srv.log.Warn("a command for another node failed", "connection", f.note.Connection, "code", string(e.Code), "error", e.Cause)
		}
		e.Cause = nil
		n.Err = &e
	}
	f.srv.say(f.from, n, payload)
}
