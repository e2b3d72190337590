package transport

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

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
	SendsPerSecond        float64       // per user; 50
	SendBurst             int           // per user; 200
	HelloWithin           time.Duration // from upgrade to hello; 10 s
	WriteDeadline         time.Duration // without progress; 20 s
	PollWait              time.Duration // the longest wait of a poll; 55 s
	BodyWithin            time.Duration // for the body of a request; 30 s
}

// DefaultConnectionsPerAddress is how many connections an address may have where no limit is set.
const DefaultConnectionsPerAddress = 1_000

// DevLimits are the defaults of dev mode: they let a load test on one machine through.
func DevLimits() Limits {
	return Limits{
		ConnectionsPerUser: 20_000, ConnectionsPerAddress: 20_000, Unauthenticated: 20_000,
		SendsPerSecond: 2_000, SendBurst: 4_000,
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
	or(&l.SendsPerSecond, 50)
	or(&l.SendBurst, 200)
	or(&l.HelloWithin, 10*time.Second)
	or(&l.WriteDeadline, 20*time.Second)
	or(&l.PollWait, 55*time.Second)
	or(&l.BodyWithin, 30*time.Second)
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
		"BodyWithin": float64(l.BodyWithin),
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
	}
}

// quotas counts what users and addresses have open, and how fast users send.
type quotas struct {
	limits Limits

	mu        sync.Mutex
	users     map[string]int
	addresses map[netip.Prefix]int
	strangers strangers
	rates     map[string]*rate.Limiter
	swept     time.Time
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
		strangers: strangers{of: make(map[netip.Prefix]int)},
		rates:     make(map[string]*rate.Limiter),
	}
}

// seat is a connection's place in the quotas; leave gives it back once.
type seat struct {
	address  netip.Prefix
	user     string // "" until known
	stranger bool
}

// arrive takes a place for a connection from an address.
func (q *quotas) arrive(from netip.Prefix, stranger bool) (*seat, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if stranger && q.full(from) {
		return nil, &room.Error{
			Code: room.CodeOverloaded, RetryAfter: time.Second,
			Title: "Too many connections are waiting to say hello; try again.",
		}
	}
	if q.addresses[from] >= q.limits.ConnectionsPerAddress {
		return nil, tooMany("address", q.limits.ConnectionsPerAddress)
	}
	q.addresses[from]++
	if stranger {
		q.strangers.all++
		q.strangers.of[from]++
	}
	return &seat{address: from, stranger: stranger}, nil
}

// name gives the connection's place to a user.
func (q *quotas) name(s *seat, user string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.users[user] >= q.limits.ConnectionsPerUser {
		return tooMany("user", q.limits.ConnectionsPerUser)
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
	if s.address.IsValid() {
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

// send takes one send off a user's rate, or says when there will be one.
func (q *quotas) send(user string) *room.Error {
	q.mu.Lock()
	l := q.rates[user]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(q.limits.SendsPerSecond), q.limits.SendBurst)
		q.rates[user] = l
	}
	q.mu.Unlock()
	r := l.Reserve()
	wait := r.Delay()
	if wait == 0 {
		return nil
	}
	r.Cancel()
	return &room.Error{
		Code: room.CodeRateLimited, Limit: int64(q.limits.SendsPerSecond), RetryAfter: max(wait, time.Millisecond),
		Title: "This user sends faster than is allowed; wait and send it again.",
	}
}

// sweepEvery is how often the rates of users who do not send are forgotten.
const sweepEvery = time.Minute

// sweep forgets the rates that are whole again: a new one would be the same.
func (q *quotas) sweep() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Sub(q.swept) < sweepEvery {
		return
	}
	q.swept = now
	for user, l := range q.rates {
		if l.TokensAt(now) >= float64(q.limits.SendBurst) {
			delete(q.rates, user)
		}
	}
}

// addressOf is where a request comes from, as far as quotas care: one IPv4 address, or an IPv6 network
// as they are given to one customer. Proxies in front are not looked through.
func addressOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 32) // in-memory listeners of tests have no address
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the bits fit the address
	return p
}
