// Package transport turns requests into calls of the hub, and what the hub says into bytes: the HTTP
// API, WebSocket, server-sent events and polling of spec/PROTOCOL.md. It is the one place that knows
// tokens, origins, HTTP statuses and close codes.
//
// [New] makes an http.Handler. It takes its connections over from net/http, so it has to be closed as
// well as the http.Server: first stop the hub, which tells every connection to come back, then call
// [Server.Close], which waits for them.
package transport

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/docs"
	"roomlog/server/hub"
	"roomlog/server/presence"
	"roomlog/server/room"
	"roomlog/server/signals"
	"roomlog/server/transport/auth"
	"roomlog/server/webhook"
	"roomlog/server/wire"
)

// Config is what a server needs.
type Config struct {
	Hub      *hub.Hub       // required
	Verifier *auth.Verifier // required
	Services auth.Services  // programs that may act for users; none: no key of one is taken

	// Origins are the web origins that may use the API from a browser, such as https://app.example.com.
	// They are compared exactly; there are no patterns. Requests without an Origin header are not from
	// a browser's page and are not judged by it.
	Origins []string
	// Kinds are the kinds of rooms that exist; rooms of others are unknown. Nil: every kind exists.
	Kinds  *room.Kinds
	Limits Limits // zero fields mean the defaults
	// Webhooks delivers to webhooks; nil: there are no routes about them.
	Webhooks *webhook.Engine
	// Rooms says which rooms exist, creates and deletes them; nil: there are no routes for that.
	Rooms room.Rooms
	// Erasures removes what users said; nil: there is no route for that.
	Erasures Erasures
	// Reports keeps what users report; nil: there are no routes for that.
	Reports room.ReportStore
	// Search keeps the index of words; nil: there are no routes for that.
	Search room.SearchStore
	// Receipts takes marks; nil: the op read and the routes of receipts are not there.
	Receipts Receipts
	// Docs keeps documents; nil: there are none, and no routes about them.
	Docs *docs.Docs
	// Streams takes the parts of messages that stream; nil: the routes of streams are not there, and nobody is given parts.
	Streams Streams
	// Presence knows who is in which room, and Signals passes on what is not stored; nil: their ops and routes are not there.
	Presence *presence.Presence
	Signals  *signals.Signals
	// Seen knows when users were there last; nil: nobody does.
	Seen room.SeenStore
	// Poke looks whether a room has grown, and has the other nodes look; nil: there is no route for that. It may be
	// called concurrently. Errors: *room.Error, `unavailable`.
	Poke func(context.Context, room.ID) error
	// TrustedProxies are the addresses of the proxies in front, whose X-Forwarded-For says who the client
	// is. None: the peer of a connection is the client.
	TrustedProxies []netip.Prefix
	// Admit says why no new connection (socket, stream, waiting poll) is taken at present; nil: they are.
	// Default: they always are. It is called for each, concurrently.
	Admit func() *room.Error

	// Access keeps bans and revocations, so that access can be taken back; nil: there are no such routes.
	Access room.AccessStore
	// Members says who belongs to which room; nil: there are no routes about them, and rooms of kinds that only members may enter
	// are unknown to all.
	Members room.Members
	// Overviews sums a user's rooms up; nil: there is neither a route for that nor a feed. It needs Members.
	Overviews room.Overviews
	// SayMe tells the other nodes something that is for their HearMe; nil: there are none. It must not block.
	SayMe func([]byte)
	// AccessChanged is told when this node has changed access, which the store keeps by then; nil: nobody is. It must not block.
	AccessChanged func()
	// RevocationsKept is how long a revocation is remembered: no token may live longer. Default 400 days.
	RevocationsKept time.Duration
	// AccessEvery is how often Access is read again, for what other nodes were told. Default 10 s.
	AccessEvery time.Duration
	// ClusterKey is what all nodes of a cluster have, and nobody else: with it, any of them takes the commands of a
	// stream and the tickets of all. Nil: this is the only node, with a key of its own that ends with it.
	ClusterKey []byte
	// Self is the name of this node among those of its cluster, another one each time it starts, and SayTo tells one of the others something
	// that is for its HearFrom, which may be lost; nil: there are none. It neither blocks nor calls HearFrom.
	Self  string
	SayTo func(node string, body []byte)
	// Tickets keeps which tickets were used, for all nodes of the cluster; nil: in memory, for this one.
	Tickets room.TicketStore
	// TokenInURL lets /v1/sse and /v1/yjs take `?token=`. URLs are kept in more places than headers: tickets are for this.
	TokenInURL bool

	// DevSigner turns on GET /v1/dev/token for requests from this machine: anybody on it may then be
	// anybody. Nil: there is no such route.
	DevSigner *auth.Signer

	Version   string           // of the program, for /healthz
	Node      string           // its name among the nodes of a cluster, which clients are told; "": none
	Store     func() room.Info // for /healthz: the store as it is now
	PingEvery time.Duration    // as the hub was told, for welcome; default 10 s
	// DrainOver is over how long those who are told to come back are spread. 0: a second for each thousand
	// connections, from 1 s to 30 s.
	DrainOver time.Duration
	Ready     func(context.Context) error // for /readyz: whether the store answers; default: always
	Errors    []byte                      // spec/errors.json, for /errors; nil: there is no such page
	Look      Look                        // of the pages that this package makes
	Pages     http.Handler                // everything that is not the API; nil: nothing
	Log       *slog.Logger                // default: discard. No token and no data is ever logged
}

func (c *Config) withDefaults() {
	c.Limits = c.Limits.withDefaults()
	if c.Tickets == nil {
		c.Tickets = newUsedTickets(time.Now)
	}
	or(&c.PingEvery, 10*time.Second)
	or(&c.RevocationsKept, 400*24*time.Hour)
	or(&c.AccessEvery, 10*time.Second)
	if c.Kinds == nil {
		c.Kinds = room.NewKinds(nil)
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	if c.Store == nil {
		c.Store = func() room.Info { return room.Info{} }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) validate() error {
	if c.Hub == nil || c.Verifier == nil {
		return errors.New("a hub and a verifier are required")
	}
	for _, o := range c.Origins {
		if err := CheckOrigin(o); err != nil {
			return err
		}
	}
	return c.Limits.validate()
}

// Server is the API as an http.Handler. It may be used concurrently.
type Server struct {
	cfg     Config
	log     *slog.Logger
	origins atomic.Pointer[map[string]bool] // the maps never change
	quotas  *quotas
	tickets *tickets
	streams sessions
	passing passing
	secrets *sealer // of streams
	self    string  // among the servers that make secrets
	wheel   *wheel
	crew    crew
	access  *access
	members *members
	feed    *feed
	roster  *roster

	changeWithin time.Duration // set once

	degraded  atomic.Pointer[degradation] // never nil
	besides   map[wire.Op]besides         // what concerns rooms beside their logs; it does not change
	degrading sync.Mutex                  // over a change and its telling

	mux     http.Handler
	limits  []byte                      // as welcome says them
	told    map[room.Code]*atomic.Int64 // errors that clients were told; the map never changes
	deleted atomic.Int64                // rooms
	nothing http.Handler                // for paths that name nothing

	ctx    context.Context // of joins, and of the wheel
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	sinks  map[*sink]struct{} // of connections that were taken over
	tasks  sync.WaitGroup     // their readers, and the wheel

	draining atomic.Bool // see Drain
	parting  sync.Once
	partings *spread // of those who come back when the server stops; readable after parting
}

// New makes a server and starts its wheel, after it has read who is kept out. Close it in the end.
func New(cfg Config) (*Server, error) {
	cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, quotas: newQuotas(cfg.Limits), tickets: &tickets{now: time.Now, used: cfg.Tickets},
		wheel: newWheel(time.Now), sinks: make(map[*sink]struct{}), told: make(map[room.Code]*atomic.Int64),
		access: newAccess(), members: newMembers(cfg.Members, cfg.Kinds), roster: newRoster(), changeWithin: changeWithin, self: cfg.Self,
		passing: passing{waiting: make(map[uint64]*passed), heard: make(map[string]uint64)},
	}
	if s.self == "" {
		s.self = newID()
	}
	s.feed = newFeed(s)
	var err error
	if s.secrets, err = newSealer(cfg.ClusterKey, "stream"); err == nil {
		s.tickets.seal, err = newSealer(cfg.ClusterKey, "ticket")
	}
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s.degraded.Store(newDegradation(nil))
	s.limits, _ = json.Marshal(cfg.Limits.welcome()) // numbers always marshal
	for _, code := range room.Codes() {
		s.told[code] = new(atomic.Int64)
	}
	if cfg.Admit != nil {
		s.quotas.admit = cfg.Admit
	}
	s.besides = s.besideOps()
	s.useOrigins(cfg.Origins)
	mux, err := s.routes()
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s.mux, s.nothing = mux, s.api(nil)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if cfg.Access != nil {
		if err := s.ReadAccess(s.ctx); err != nil { // a server that does not know who is kept out lets nobody in
			s.cancel()
			return nil, fmt.Errorf("transport: read who is kept out: %w", err)
		}
		s.tasks.Go(func() { s.watchAccess(s.ctx) })
	}
	s.members.account = cfg.Hub.Account
	s.members.changed = func(id room.ID, user string, own bool) {
		if s.feed.concerns(id, user, true); own {
			s.sayMe(saidMember, id, user)
		}
	}
	s.members.grown = s.feed.grew
	cfg.Hub.TellMembers(s.members)
	if cfg.Overviews != nil && cfg.Members != nil {
		for range feeders {
			s.tasks.Go(func() { s.feed.run(s.ctx) })
		}
		s.tasks.Go(func() { s.feed.sweep(s.ctx) })
	}
	s.tasks.Go(func() { s.watchMembers(s.ctx) })
	s.tasks.Go(func() { s.wheel.run(s.ctx, s.sweep) })
	return s, nil
}

// sweep forgets what is kept of those who are gone.
func (s *Server) sweep() {
	s.quotas.rates.sweep()
	s.quotas.slots.sweep(time.Now())
	s.members.sweep()
}

func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/v1/rooms/{room}/events", s.api(methods{
		http.MethodPost: s.postEvent,
		http.MethodGet:  s.getEvents,
	}))
	s.routeState(mux)
	s.routeDocs(mux)
	s.routeYjs(mux)
	s.routeRooms(mux)
	s.routePokes(mux)
	s.routeSearch(mux)
	s.routeErasures(mux)
	s.routeReports(mux)
	s.routeReceipts(mux)
	s.routeStreams(mux)
	s.routePeople(mux)
	s.accessRoutes(mux)
	s.memberRoutes(mux)
	s.webhookRoutes(mux)
	mux.Handle("/v1/sse", s.api(methods{http.MethodGet: s.getStream}))
	mux.Handle("/v1/connections/{connection}", s.api(s.connectionMethods()))
	mux.Handle("/v1/tickets", s.api(methods{http.MethodPost: s.postTicket}))
	mux.Handle("/v1/ws", s.api(methods{http.MethodGet: s.getSocket}))
	if s.cfg.DevSigner != nil {
		mux.Handle("/v1/dev/token", s.Local(map[string]func(http.ResponseWriter, *http.Request) error{http.MethodGet: s.getDevToken}))
	}
	mux.Handle("/v1/", s.api(nil))
	mux.Handle("/healthz", s.api(methods{http.MethodGet: s.getHealth, http.MethodHead: s.getHealth}))
	mux.Handle("/readyz", s.api(methods{http.MethodGet: s.getReady, http.MethodHead: s.getReady}))
	if s.cfg.Errors != nil {
		page, err := newErrorPage(s.cfg.Errors, s.cfg.Look, s.cfg.Pages != nil)
		if err != nil {
			return nil, err
		}
		mux.Handle("/errors", s.api(methods{http.MethodGet: page.get, http.MethodHead: page.get}))
	}
	if s.cfg.Pages != nil {
		mux.Handle("/", s.bounded(s.cfg.Pages.ServeHTTP))
	} else {
		mux.Handle("/", s.api(nil))
	}
	return mux, nil
}

// ServeHTTP implements http.Handler. A path with empty or dotted parts names nothing (rule HTTP-6); the mux
// would send the client on to another.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.EscapedPath()
	if clean := path.Clean(asked); clean != asked && clean+"/" != asked {
		s.nothing.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Close ends the connections that are left and waits for their goroutines, or for ctx. New ones are
// refused. It is idempotent.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for k := range s.sinks {
		k.Close(goingAway())
	}
	s.mu.Unlock()
	s.cancel()
	s.feed.close()
	s.crew.close()
	done := make(chan struct{})
	go func() { // ends with the connections, also when nobody waits for it any more
		s.tasks.Wait()
		s.crew.wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close connections: %w", ctx.Err())
	}
}

// adopt makes the server wait for a connection that was taken over, until its goroutine calls release;
// false: the server is closed.
func (s *Server) adopt(k *sink) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sinks[k] = struct{}{}
	k.tasks = &s.tasks
	s.tasks.Add(1)
	return true
}

// release ends what adopt began.
func (s *Server) release(k *sink) {
	s.mu.Lock()
	delete(s.sinks, k)
	s.mu.Unlock()
	s.tasks.Done()
}

// rescue turns a panic into an error of the request or the end of the connection that it was handled
// for, and of nothing else. It is deferred. about names that in the log.
func (s *Server) rescue(err *error, about ...any) {
	if p := recover(); p != nil {
		s.log.Error("panic", append(about, "cause", p, "stack", string(debug.Stack()))...)
		*err = errPanicked
	}
}

var errPanicked = errors.New("a panic")

func goingAway() *room.Error {
	return &room.Error{Code: room.CodeGoingAway, Title: "This server is going away; connect again."}
}

// newID is an unguessable name of 128 bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
