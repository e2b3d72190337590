package transport

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"roomlog/server/room"
)

// Limits are what one client may ask of a server. A zero field means its default, given here.
type Limits struct {
	FrameBytes            int           // one message or request body; 1 MiB
	EventBytes            int           // data of one event, compacted; 64 KiB
	RoomsPerConnection    int           // joined on one WebSocket; 200
	RoomsPerStream        int           // of one SSE stream; 32
	ConnectionsPerUser    int           // WebSockets, streams and waiting polls together; 50
	ConnectionsPerAddress int           // the same, by IP address (IPv6: by /64); 1,000
	Unauthenticated       int           // WebSockets that have not said hello yet, a quarter of them of one address; 1,000
	Polls                 int           // requests that wait for an event, of all users; 10,000
	PollsPerUser          int           // the same, of one user; 50
	AcceptsPerSecond      float64       // new WebSockets and streams, of all; 1,000
	AcceptBurst           int           // the same at once; 2,000
	ReportsPerUser        int           // open at a time, of whatever rooms; 100
	SendsPerSecond        float64       // per user; 50
	SendBurst             int           // per user; 200
	RoomSendsPerSecond    float64       // to one room, of all users; 10,000
	RoomSendBurst         int           // the same; 20,000
	JoinsPerSecond        float64       // per user, each room of a stream too; 100
	JoinBurst             int           // per user; 1,000
	ReadsPerSecond        float64       // per user, of GET …/events; 100
	ReadBurst             int           // per user; 500
	FailuresPerSecond     float64       // tokens that are no good, per address; 10
	FailureBurst          int           // per address; 100
	FramesPerSecond       float64       // of one WebSocket, those that neither send, join nor leave; 20
	FrameBurst            int           // of one WebSocket; 500
	HelloWithin           time.Duration // from upgrade to hello; 10 s
	WriteDeadline         time.Duration // without progress; 20 s
	PollWait              time.Duration // the longest wait of a poll; 55 s
	BodyWithin            time.Duration // for the body of a request; 30 s
	AnswerWithin          time.Duration // for a peer to take the answer to a request; 60 s
}

// DefaultConnectionsPerAddress is how many connections an address may have where no limit is set.
const DefaultConnectionsPerAddress = 1_000

// DevLimits are the defaults of dev mode: they let a load test on one machine through.
func DevLimits() Limits {
	return Limits{
		ConnectionsPerUser: 20_000, ConnectionsPerAddress: 20_000, Unauthenticated: 20_000,
		Polls: 20_000, PollsPerUser: 20_000, AcceptsPerSecond: 100_000, AcceptBurst: 200_000,
		SendsPerSecond: 2_000, SendBurst: 4_000, RoomSendsPerSecond: 100_000, RoomSendBurst: 200_000,
		JoinsPerSecond: 10_000, JoinBurst: 40_000, ReadsPerSecond: 5_000, ReadBurst: 20_000,
		FailuresPerSecond: 1_000, FailureBurst: 10_000,
	}
}

func (l Limits) withDefaults() Limits {
	or(&l.FrameBytes, 1<<20)
	or(&l.EventBytes, room.MaxData)
	or(&l.RoomsPerConnection, 200)
	or(&l.RoomsPerStream, 32)
	or(&l.ConnectionsPerUser, 50)
	or(&l.ConnectionsPerAddress, DefaultConnectionsPerAddress)
	or(&l.Unauthenticated, 1_000)
	or(&l.Polls, 10_000)
	or(&l.PollsPerUser, 50)
	or(&l.AcceptsPerSecond, 1_000)
	or(&l.AcceptBurst, 2_000)
	or(&l.ReportsPerUser, 100)
	or(&l.SendsPerSecond, 50)
	or(&l.SendBurst, 200)
	or(&l.RoomSendsPerSecond, 10_000)
	or(&l.RoomSendBurst, 20_000)
	or(&l.JoinsPerSecond, 100)
	or(&l.JoinBurst, 1_000)
	or(&l.ReadsPerSecond, 100)
	or(&l.ReadBurst, 500)
	or(&l.FailuresPerSecond, 10)
	or(&l.FailureBurst, 100)
	or(&l.FramesPerSecond, 20)
	or(&l.FrameBurst, 500)
	or(&l.HelloWithin, 10*time.Second)
	or(&l.WriteDeadline, 20*time.Second)
	or(&l.PollWait, 55*time.Second)
	or(&l.BodyWithin, 30*time.Second)
	or(&l.AnswerWithin, time.Minute)
	return l
}

func or[T int | float64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (l Limits) validate() error {
	for name, v := range map[string]float64{
		"FrameBytes": float64(l.FrameBytes), "EventBytes": float64(l.EventBytes),
		"RoomsPerConnection": float64(l.RoomsPerConnection), "RoomsPerStream": float64(l.RoomsPerStream),
		"ConnectionsPerUser": float64(l.ConnectionsPerUser), "ConnectionsPerAddress": float64(l.ConnectionsPerAddress),
		"Unauthenticated": float64(l.Unauthenticated), "SendsPerSecond": l.SendsPerSecond, "SendBurst": float64(l.SendBurst),
		"HelloWithin": float64(l.HelloWithin), "WriteDeadline": float64(l.WriteDeadline), "PollWait": float64(l.PollWait),
		"BodyWithin": float64(l.BodyWithin), "AnswerWithin": float64(l.AnswerWithin),
		"AcceptsPerSecond": l.AcceptsPerSecond, "AcceptBurst": float64(l.AcceptBurst),
		"Polls": float64(l.Polls), "PollsPerUser": float64(l.PollsPerUser),
		"RoomSendsPerSecond": l.RoomSendsPerSecond, "RoomSendBurst": float64(l.RoomSendBurst),
		"JoinsPerSecond": l.JoinsPerSecond, "JoinBurst": float64(l.JoinBurst),
		"ReadsPerSecond": l.ReadsPerSecond, "ReadBurst": float64(l.ReadBurst),
		"FailuresPerSecond": l.FailuresPerSecond, "FailureBurst": float64(l.FailureBurst),
		"FramesPerSecond": l.FramesPerSecond, "FrameBurst": float64(l.FrameBurst),
	} {
		if v < 0 {
			return fmt.Errorf("limits: %s is negative", name)
		}
	}
	return nil
}

// welcome are the limits that a client is told.
func (l Limits) welcome() map[string]int {
	return map[string]int{
		"frame_bytes": l.FrameBytes, "event_bytes": l.EventBytes, "rooms": l.RoomsPerConnection,
		"sends_per_second": int(l.SendsPerSecond), "send_burst": l.SendBurst,
		"joins_per_second": int(l.JoinsPerSecond), "join_burst": l.JoinBurst,
	}
}

// quotas counts what users and addresses have open, and holds them to their rates.
type quotas struct {
	limits Limits
	rates  *rates
	slots  *slots
	admit  func() *room.Error // why no connection is taken at present; nil: they are

	reading turns // documents

	mu        sync.Mutex
	users     map[string]int
	addresses map[netip.Prefix]int
	strangers strangers
	polls     polls
}

// polls counts the requests that wait for an event.
type polls struct {
	all int
	of  map[string]int
}

// strangers counts the WebSockets without hello.
type strangers struct {
	all int
	of  map[netip.Prefix]int
}

// strangersShare is the part of all places of strangers that one address may hold, so that it cannot shut
// the others out.
const strangersShare = 4

func (q *quotas) full(from netip.Prefix) bool {
	most := q.limits.Unauthenticated
	return q.strangers.all >= most || q.strangers.of[from] >= max(most/strangersShare, 1)
}

func (n *strangers) gone(from netip.Prefix) {
	n.all--
	less(n.of, from)
}

func newQuotas(l Limits) *quotas {
	return &quotas{
		limits: l, users: make(map[string]int), addresses: make(map[netip.Prefix]int),
		strangers: strangers{of: make(map[netip.Prefix]int)}, polls: polls{of: make(map[string]int)},
		rates: newRates(l), slots: newSlots(l), admit: func() *room.Error { return nil },
	}
}

// seat is a connection's place in the quotas; leave gives it back once.
type seat struct {
	address  netip.Prefix
	user     string // "" until known
	stranger bool
	within   bool // another connection: its address is counted there
}

// arrive takes a place for a connection from an address. A refusal is counted.
func (q *quotas) arrive(from netip.Prefix, stranger bool) (*seat, error) {
	s, r := q.place(from, stranger)
	if r != nil {
		return nil, q.rates.refuse(r.by, r.err)
	}
	return s, nil
}

// lacking is why there is no place for a connection.
type lacking struct {
	by  Limit
	err *room.Error
}

// place is arrive for who has others tell the refusal, and count it.
func (q *quotas) place(from netip.Prefix, stranger bool) (*seat, *lacking) {
	if err := q.admit(); err != nil {
		return nil, &lacking{limitMemory, err}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if stranger && q.full(from) {
		return nil, &lacking{limitStrangers, &room.Error{
			Code: room.CodeOverloaded, RetryAfter: time.Second,
			Title: "Too many connections are waiting to say hello; try again.",
		}}
	}
	if most := q.limits.ConnectionsPerAddress; q.addresses[from] >= most {
		return nil, &lacking{limitAddress, tooMany("address", most)}
	}
	q.addresses[from]++
	if stranger {
		q.strangers.all++
		q.strangers.of[from]++
	}
	return &seat{address: from, stranger: stranger}, nil
}

// within takes a place for what is a connection of its user within another, which has the place at the address.
func (*quotas) within(s *seat) *seat { return &seat{address: s.address, within: true} }

// met takes a connection off the strangers, which has places of users within.
func (q *quotas) met(s *seat) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.stranger {
		s.stranger = false
		q.strangers.gone(s.address)
	}
}

// name gives the connection's place to a user.
func (q *quotas) name(s *seat, user string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if most := q.limits.ConnectionsPerUser; q.users[user] >= most {
		return q.rates.refuse(limitUser, tooMany("user", most))
	}
	q.users[user]++
	s.user = user
	if s.stranger {
		s.stranger = false
		q.strangers.gone(s.address)
	}
	return nil
}

func tooMany(field string, limit int) *room.Error {
	return &room.Error{
		Code: room.CodeLimitExceeded, Field: field, Limit: int64(limit),
		Title: "This " + field + " has as many connections as it may have.",
	}
}

// leave gives the place back. Leaving twice is harmless.
func (q *quotas) leave(s *seat) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.address.IsValid() && !s.within {
		less(q.addresses, s.address)
	}
	if s.user != "" {
		less(q.users, s.user)
	}
	if s.stranger {
		q.strangers.gone(s.address)
	}
	*s = seat{}
}

func less[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}

// park takes a place for a request that waits for an event, besides its place as a connection; the user of
// the seat is known. unpark gives it back.
func (q *quotas) park(s *seat) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch most := q.limits.PollsPerUser; {
	case q.polls.all >= q.limits.Polls:
		return q.rates.refuse(limitPolls, &room.Error{
			Code: room.CodeOverloaded, RetryAfter: time.Second,
			Title: "As many requests as may wait for an event do; try again.",
		})
	case q.polls.of[s.user] >= most:
		return q.rates.refuse(limitUserPolls, &room.Error{
			Code: room.CodeLimitExceeded, Field: "wait", Limit: int64(most),
			Title: "This user has as many requests waiting as it may have.",
		})
	}
	q.polls.all++
	q.polls.of[s.user]++
	return nil
}

func (q *quotas) unpark(s *seat) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.polls.all--
	less(q.polls.of, s.user)
}
