// Package signals passes on what is worth nothing a moment later: who is typing, where a cursor is. Of each connection, type and key the
// latest counts. Nothing is stored. Each signal has a life, which every node counts down by itself: one that was lost, or whose node was
// killed, is stuck nowhere.
package signals

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"roomlog/server/agenda"
	"roomlog/server/room"
)

// Typing is the type of the signal that ends by itself (rule SIG-4).
const Typing = "typing"

const (
	typingLife = 6 * time.Second // after the last one
	farLife    = 15 * time.Second
	againEvery = 5 * time.Second // other nodes are told again of what goes on: three times within farLife

	maxData    = 2 << 10
	maxKey     = 64
	maxSignals = 16 // of a connection in a room
)

// Config says how signals are passed on. A zero field means its default.
type Config struct {
	// Say tells the nodes that follow a room something, as a hint; it must not block. nil: this is the only node.
	Say func(id room.ID, body []byte)
	// Show gives readers of this node what changed of a room; nil: nobody reads.
	Show func(id room.ID, u Update)

	PerSecond float64       // signals of one connection; default 60
	Burst     int           // at once; default 120
	Coalesce  time.Duration // at least so long is between two updates of a room; default 25ms
}

// Update is what became of the signals of a room.
type Update struct {
	Set   []Value
	Whole bool // what Set does not name is gone
}

// Value is a signal: a JSON object; nil: it has ended. Key is its connection, type and key, with spaces between.
type Value struct {
	Key  string
	JSON []byte
}

// Signals are those of all rooms of a node. All methods may be called concurrently; but for Stop they neither block nor call what Config gives.
type Signals struct {
	cfg   Config
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu      sync.Mutex
	rooms   map[room.ID]*space
	agenda  *agenda.Agenda[*space]
	sources map[string]*source // by connection
	number  uint64             // of the latest message of this node
	counts  Stats
}

// Stats is what was counted since the start, and how things stand.
type Stats struct {
	Alive       int   // signals that have not ended, those of other nodes among them
	Taken       int64 // of this node's connections; ends that they asked for among them
	Shown       int64 // updates that readers were given
	Said, Heard int64 // messages of other nodes
}

// Stats counts.
func (s *Signals) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.counts
	for _, r := range s.rooms {
		out.Alive += len(r.signals)
	}
	return out
}

// source is a connection of this node that has joined rooms.
type source struct {
	rooms int
	pace  *rate.Limiter
}

// space is the signals of a room.
type space struct {
	id      room.ID
	next    agenda.Entry[*space]
	needed  bool
	whole   bool
	guests  map[string]*guest // by connection, of this node
	signals map[string]*signal
	ends    time.Time       // the earliest end of one of them, or before; zero: none ends by itself
	dirty   map[string]bool // keys that changed; true: own ones, which others are told of
	flush   time.Time
	last    time.Time
	again   time.Time         // when others are told again; zero: there is nothing to tell
	all     bool              // they are told of all
	ask     bool              // they are asked
	heard   map[string]uint64 // the latest number of each other node
}

type guest struct {
	handle any
	user   string
	keys   []string // of its signals
}

// signal is the latest of a connection, type and key.
type signal struct {
	from string    // the node; "": this one
	ends time.Time // zero: with the connection
	value
}

// value is what is shown and said of it.
type value struct {
	User       string          `json:"user"`
	Connection string          `json:"connection"`
	Type       string          `json:"type"`
	Key        string          `json:"key"`
	Data       json.RawMessage `json:"data"`
}

func (v *value) id() string { return v.Connection + " " + v.Type + " " + v.Key }

// New makes the signals of a node, which passes nothing on before Start.
func New(cfg Config) *Signals {
	if cfg.PerSecond == 0 {
		cfg.PerSecond = 60
	}
	if cfg.Burst == 0 {
		cfg.Burst = 120
	}
	if cfg.Coalesce == 0 {
		cfg.Coalesce = 25 * time.Millisecond
	}
	if cfg.Show == nil {
		cfg.Show = func(room.ID, Update) {}
	}
	s := &Signals{
		cfg: cfg, agenda: agenda.New[*space](), rooms: make(map[room.ID]*space), sources: make(map[string]*source),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Start begins to pass signals on.
func (s *Signals) Start() { s.tasks.Go(func() { s.agenda.Run(s.ctx, leastSleep, s.do) }) }

// Stop ends that, and waits.
func (s *Signals) Stop(context.Context) error {
	s.stop()
	s.tasks.Wait()
	return nil
}

// Came says that a connection has joined a room. handle tells this from another coming of the same connection.
func (s *Signals) Came(id room.ID, handle any, connection, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.room(id)
	if g := r.guests[connection]; g != nil {
		g.handle, g.user = handle, user
		return
	}
	from := s.sources[connection]
	if from == nil {
		from = &source{pace: rate.NewLimiter(rate.Limit(s.cfg.PerSecond), s.cfg.Burst)}
		s.sources[connection] = from
	}
	from.rooms++
	r.guests[connection] = &guest{handle: handle, user: user}
}

// Went says that it has left: its signals have ended.
func (s *Signals) Went(id room.ID, handle any, connection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id]
	if r == nil || r.guests[connection] == nil || r.guests[connection].handle != handle {
		return // it came again before
	}
	for _, key := range slices.Clone(r.guests[connection].keys) {
		s.end(r, key)
	}
	delete(r.guests, connection)
	if from := s.sources[connection]; from != nil {
		if from.rooms--; from.rooms == 0 {
			delete(s.sources, connection)
		}
	}
	s.tidy(r)
}

// Sent says that a connection has sent to a room: nobody is typing there any more.
func (s *Signals) Sent(id room.ID, connection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id]
	if r == nil || r.guests[connection] == nil {
		return
	}
	for _, key := range slices.Clone(r.guests[connection].keys) {
		if r.signals[key].Type == Typing {
			s.end(r, key)
		}
	}
}

// Set passes a signal of a connection on; data null ends it. Errors: bad_type, bad_data, bad_request, message_too_large, limit_exceeded,
// rate_limited.
func (s *Signals) Set(id room.ID, connection, typ, key string, data []byte) error {
	data, err := check(typ, key, data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var g *guest
	r := s.rooms[id]
	if r != nil {
		g = r.guests[connection]
	}
	if g == nil {
		return &room.Error{Code: room.CodeBadRequest, Field: "room", Title: "This connection has not joined the room with signals or presence."}
	}
	if !s.sources[connection].pace.Allow() {
		return &room.Error{
			Code: room.CodeRateLimited, Limit: int64(s.cfg.PerSecond), RetryAfter: time.Duration(float64(time.Second) / s.cfg.PerSecond),
			Title: "This connection signals faster than is allowed; the next one says as much.",
		}
	}
	one := &signal{value: value{g.user, connection, typ, key, data}}
	key = one.id()
	has := r.signals[key] != nil
	switch {
	case string(data) == "null":
		s.counts.Taken++
		s.end(r, key)
		return nil
	case !has && len(g.keys) >= maxSignals:
		return &room.Error{Code: room.CodeLimitExceeded, Field: "key", Limit: maxSignals, Title: "This connection has as many signals in the room as it may; end one first."}
	case !has:
		g.keys = append(g.keys, key)
	}
	if typ == Typing {
		one.ends = time.Now().Add(typingLife)
	} else if r.again.IsZero() {
		r.again = time.Now().Add(againEvery)
	}
	s.counts.Taken++
	s.put(r, key, one)
	return nil
}

// check judges a signal and compacts its data.
func check(typ, key string, data []byte) ([]byte, error) {
	if room.CheckType(typ) != nil {
		return nil, &room.Error{Code: room.CodeBadType, Field: "type", Title: "A type is 1 to 32 of a-z, 0-9, _ . -, beginning with a letter, such as cursor."}
	}
	if len(key) > maxKey || slices.ContainsFunc([]byte(key), func(c byte) bool { return c < ' ' || c == 0x7f }) {
		return nil, &room.Error{Code: room.CodeBadRequest, Field: "key", Limit: maxKey, Title: "The key of a signal has at most 64 bytes, without control characters."}
	}
	return room.CompactData(data, maxData)
}

// Needed says that somebody reads the signals of a room here, until Unneeded.
func (s *Signals) Needed(id room.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.room(id)
	r.needed, r.whole, r.ask = true, true, true
	s.soon(r)
}

// Unneeded ends that.
func (s *Signals) Unneeded(id room.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[id]
	if r == nil {
		return
	}
	r.needed, r.ask = false, false
	maps.DeleteFunc(r.signals, func(_ string, one *signal) bool { return one.from != "" })
	s.tidy(r)
}

func (s *Signals) room(id room.ID) *space {
	r := s.rooms[id]
	if r == nil {
		r = &space{
			id: id, guests: make(map[string]*guest), signals: make(map[string]*signal), dirty: make(map[string]bool), heard: make(map[string]uint64),
		}
		r.next.Of = r
		s.rooms[id] = r
	}
	return r
}

// tidy forgets a room of which there is nothing to know or tell any more.
func (s *Signals) tidy(r *space) {
	if !r.needed && len(r.guests) == 0 && len(r.signals) == 0 && len(r.dirty) == 0 {
		delete(s.rooms, r.id)
		s.agenda.Put(&r.next, time.Time{})
	}
}

// put has a signal in the place of the one before it.
func (s *Signals) put(r *space, key string, one *signal) {
	r.signals[key] = one
	r.ends = earlier(r.ends, one.ends)
	s.changed(r, key, one.from == "")
}

// end ends a signal, if there is one.
func (s *Signals) end(r *space, key string) {
	one := r.signals[key]
	if one == nil {
		return
	}
	delete(r.signals, key)
	if g := r.guests[one.Connection]; one.from == "" {
		g.keys = slices.DeleteFunc(g.keys, func(has string) bool { return has == key })
	}
	s.changed(r, key, one.from == "")
}

func (s *Signals) changed(r *space, key string, own bool) {
	r.dirty[key] = r.dirty[key] || own
	s.soon(r)
}

// soon has what changed passed on, not sooner after the last time than is configured.
func (s *Signals) soon(r *space) {
	if r.flush.IsZero() {
		r.flush = time.Now()
		if next := r.last.Add(s.cfg.Coalesce); next.After(r.flush) {
			r.flush = next
		}
	}
	s.schedule(r)
}

func (s *Signals) schedule(r *space) {
	s.agenda.Put(&r.next, earlier(r.flush, earlier(r.again, r.ends)))
}

// earlier is the earlier of two times; a zero one counts for none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
