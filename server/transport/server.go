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
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// Config is what a server needs.
type Config struct {
	Hub      *hub.Hub       // required
	Verifier *auth.Verifier // required

	// Origins are the web origins that may use the API from a browser, such as https://app.example.com.
	// They are compared exactly; there are no patterns. Requests without an Origin header are not from
	// a browser's page and are not judged by it.
	Origins []string
	// Kinds are the kinds of rooms that exist; rooms of others are unknown. Nil: every kind exists.
	Kinds  *room.Kinds
	Limits Limits // zero fields mean the defaults
	// Rooms says which rooms exist, creates and deletes them; nil: there are no routes for that.
	Rooms room.Rooms

	// DevSigner turns on GET /v1/dev/token for requests from this machine: anybody on it may then be
	// anybody. Nil: there is no such route.
	DevSigner *auth.Signer

	Version   string                      // of the program, for /healthz
	Store     room.Info                   // for /healthz
	PingEvery time.Duration               // as the hub was told, for welcome; default 10 s
	Ready     func(context.Context) error // for /readyz: whether the store answers; default: always
	Errors    []byte                      // spec/errors.json, for /errors; nil: there is no such page
	Pages     http.Handler                // everything that is not the API; nil: nothing
	Log       *slog.Logger                // default: discard. No token and no data is ever logged
}

func (c *Config) withDefaults() {
	c.Limits = c.Limits.withDefaults()
	or(&c.PingEvery, 10*time.Second)
	if c.Kinds == nil {
		c.Kinds = room.NewKinds(nil)
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
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
	wheel   *wheel
	mux     http.Handler
	told    map[room.Code]*atomic.Int64 // errors that clients were told; the map never changes
	deleted atomic.Int64                // rooms
	nothing http.Handler                // for paths that name nothing

	ctx    context.Context // of joins, and of the wheel
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	sinks  map[*sink]struct{} // of connections that were taken over
	tasks  sync.WaitGroup     // their readers, and the wheel

	parting sync.Once
	spread  time.Duration // over how long clients are to come back; readable after parting
}

// New makes a server and starts its wheel. Close it in the end.
func New(cfg Config) (*Server, error) {
	cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, quotas: newQuotas(cfg.Limits),
		wheel: newWheel(time.Now), sinks: make(map[*sink]struct{}), told: make(map[room.Code]*atomic.Int64),
	}
	for _, code := range room.Codes() {
		s.told[code] = new(atomic.Int64)
	}
	s.useOrigins(cfg.Origins)
	mux, err := s.routes()
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s.mux, s.nothing = mux, s.api(nil)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tasks.Go(func() { s.wheel.run(s.ctx, s.quotas.sweep) })
	return s, nil
}

func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/v1/rooms/{room}/events", s.api(methods{
		http.MethodPost: s.postEvent,
		http.MethodGet:  s.getEvents,
	}))
	s.routeRooms(mux)
	mux.Handle("/v1/sse", s.api(methods{http.MethodGet: s.getStream}))
	mux.Handle("/v1/ws", s.api(methods{http.MethodGet: s.getSocket}))
	if s.cfg.DevSigner != nil {
		mux.Handle("/v1/dev/token", s.Local(map[string]func(http.ResponseWriter, *http.Request) error{http.MethodGet: s.getDevToken}))
	}
	mux.Handle("/v1/", s.api(nil))
	mux.Handle("/healthz", s.api(methods{http.MethodGet: s.getHealth, http.MethodHead: s.getHealth}))
	mux.Handle("/readyz", s.api(methods{http.MethodGet: s.getReady, http.MethodHead: s.getReady}))
	if s.cfg.Errors != nil {
		page, err := newErrorPage(s.cfg.Errors)
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
	done := make(chan struct{})
	go func() { // ends with the connections, also when nobody waits for it any more
		s.tasks.Wait()
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
