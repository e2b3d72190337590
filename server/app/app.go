// Package app puts a server together from its parts and runs it: the one package that names concrete
// stores and transports. [New] builds, [App.Start] serves, [App.Stop] ends. An App is used once.
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"roomlog/server/cluster"
	"roomlog/server/docs"
	"roomlog/server/erasure"
	"roomlog/server/hub"
	"roomlog/server/receipts"
	"roomlog/server/retention"
	"roomlog/server/room"
	"roomlog/server/search"
	"roomlog/server/streams"
	"roomlog/server/transport"
	"roomlog/server/transport/auth"
	"roomlog/server/webhook"
)

// App is one server. Its methods may be called concurrently.
type App struct {
	cfg      Config
	about    About
	hub      *hub.Hub
	node     *cluster.Node // nil: the store is this process's alone
	keeper   *retention.Keeper
	docs     *docs.Docs
	kinds    *room.Kinds
	terms    room.KindStore // nil: the store takes no events from elsewhere
	engine   *webhook.Engine
	indexer  *search.Indexer
	eraser   *erasure.Eraser
	hooks    atomic.Pointer[hooks]
	api      *transport.Server
	keySets  []*auth.KeySet
	tunnels  *tunnels // nil unless Dev
	http     *http.Server
	desk     *receipts.Desk     // nil: the store keeps no receipts
	streams  *streams.Desk      // nil: the store keeps no streams
	receipts transport.Receipts // nil likewise
	people   people
	metrics  *metrics
	pressure *pressure
	pauses   *pauses
	admin    *http.Server // nil without an admin listener
	undo     undo
	failed   chan struct{}
	fail     func() // closes failed, once
	after    func(time.Duration) <-chan time.Time

	mu       sync.Mutex
	listener net.Listener
	started  bool
	stopped  bool
}

// About is what a server says of itself at start.
type About struct {
	Version    string
	URL        string   // where it serves; empty before Start
	Admin      string   // where the admin listener is; empty before Start, and without one
	Store      string   // its kind, version and place; no password
	Durability string   // what an ack means
	Insecure   []string // what about this server is only for trying things
	Notes      []string // what an operator may not expect
}

// New opens the store and builds a server that does not listen yet. When a part fails, what was
// opened is closed again. A *ConfigError says what is wrong with cfg; ctx bounds the opening.
func New(ctx context.Context, cfg Config) (_ *App, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	doors, err := cfg.openDoors()
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, kinds: room.NewKinds(cfg.policies()), failed: make(chan struct{}), after: time.After}
	a.fail = sync.OnceFunc(func() { close(a.failed) })
	defer func() {
		if err != nil {
			err = errors.Join(err, a.undo.run(context.Background()))
		}
	}()
	store, where, err := cfg.openStore(ctx)
	if err != nil {
		return nil, err
	}
	a.undo.push("close the store", func(context.Context) error { return store.Close() })
	if err := cfg.acceptDurability(store.Info()); err != nil {
		return nil, err
	}
	a.about = describe(cfg, store.Info(), where)
	a.about.Notes = append(a.about.Notes, doors.notes...)
	a.terms, _ = store.(room.KindStore)
	if err := a.buildEngine(store); err != nil {
		return nil, err
	}
	if err := a.useHooks(ctx, cfg); err != nil {
		return nil, err
	}
	a.docs = docs.New(docs.Config{Store: store})
	a.buildIndexer(store)
	a.buildReceipts(store)
	a.buildStreams(store)
	if err := a.buildPeople(store); err != nil {
		return nil, err
	}
	link, err := a.joinCluster(store)
	if err != nil {
		return nil, err
	}
	a.hub = hub.New(hub.Config{
		Store: store, Link: link, Grown: a.grew, Log: cfg.Log, TailBytes: cfg.TailBytes, QueueSends: cfg.QueueSends,
		PingEvery: cfg.PingEvery, PongWithin: cfg.PongWithin, Beside: a.beside(), Company: &a.people, MapOnly: mapOnly(a.kinds),
	})
	a.undo.push("stop the hub", a.hub.Stop)
	a.undo.push("stop keeping receipts", a.stopReceipts)
	a.undo.push("stop keeping streams", a.stopStreams)
	a.buildKeeper(store)
	a.buildEraser(store)
	a.watch(store)
	a.pressure = newPressure(cfg, a.hub)
	a.pauses = newPauses(cfg, a.woken)
	if err := a.buildHTTP(doors, store); err != nil {
		return nil, err
	}
	return a, nil
}

// describe is what can be said before listening.
func describe(cfg Config, info room.Info, where string) About {
	about := About{
		Version:    cfg.Version,
		Store:      fmt.Sprintf("%s %s, %s", info.Name, info.Version, where),
		Durability: "full: an acknowledged event has been synced to disk",
	}
	if info.Durability != room.Full {
		about.Durability = fmt.Sprintf("%s: an acknowledged event may be lost in a crash of the machine (%s)", info.Durability, info.Relaxed)
	}
	if cfg.Bus != noBus && cfg.Bus != "" {
		about.Notes = append(about.Notes, fmt.Sprintf("this is node %s of the cluster %s, joined by %s", cfg.Node, cfg.Cluster, cfg.busPlace()))
	}
	if !cfg.Dev && len(cfg.Kinds) == 0 {
		about.Notes = append(about.Notes, "no kinds are declared, so every room is unknown: --kinds chat declares one")
	}
	if may, want := openFiles(), cfg.connections(); may != 0 && may < want {
		about.Notes = append(about.Notes, fmt.Sprintf(
			"this process may have %d open files (ulimit -n), fewer than the %d connections that one address may have", may, want))
	}
	if cfg.Dev {
		about.Insecure = append(about.Insecure,
			"dev: whoever reaches this address from this machine gets a token for any user and room; use `roomlog serve` for anything else")
	}
	if host, _, _ := net.SplitHostPort(cfg.Listen); !transport.LocalHost(host) {
		about.Insecure = append(about.Insecure, "plain HTTP on "+cfg.Listen+": put TLS in front of it")
		if cfg.Dev {
			about.Insecure = append(about.Insecure,
				"DEV ON A NETWORK: this server knows every kind of room and holds nobody to the limits of serve; never where others than you reach it")
		}
	}
	return about
}

// Start listens and returns when the server serves. An App starts once.
func (a *App) Start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started || a.stopped {
		return errors.New("start: this server has been started or stopped before")
	}
	listener, err := transport.Listen(a.cfg.Listen)
	if err != nil {
		return listenError(a.cfg.Listen, "--listen", err)
	}
	gate := a.api.Guard(listener, a.cfg.sockets())
	if err := a.startAdmin(); err != nil {
		return errors.Join(err, gate.Close())
	}
	a.metrics.gate.Store(gate)
	a.undo.push("stop watching memory", a.pressure.start())
	a.started, a.listener = true, listener
	a.about.URL = "http://" + browsable(listener.Addr().(*net.TCPAddr)).String()
	if a.node != nil {
		a.node.Start(a.hub)
	}
	if a.desk != nil {
		a.desk.Start(a.hub)
	}
	if a.streams != nil {
		a.streams.Start(streamLog{a.hub})
	}
	a.hub.Start()
	a.startPeople()
	a.engine.Start()
	a.indexer.Start()
	a.eraser.Start()
	a.keeper.Start()
	a.undo.push("stop watching for pauses", a.pauses.start())
	a.undo.push("stop publishing figures", a.startFeed())
	a.followKeys()
	if a.tunnels != nil {
		a.tunnels.open(browsable(listener.Addr().(*net.TCPAddr)).String())
		a.undo.push("close the tunnels", a.tunnels.close)
	}
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		if err := a.http.Serve(gate); !errors.Is(err, http.ErrServerClosed) {
			a.cfg.Log.Error("serve", "err", err)
			a.fail()
		}
	}()
	a.undo.push("close the listener", func(ctx context.Context) error {
		err := a.drain(ctx)
		<-serving
		return err
	})
	return nil
}

// listenError says in a sentence what to do about the usual cases.
func listenError(address, flag string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use: another server runs there; stop it or take another address with %s", address, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be listened on by this user; take a port above 1023 with %s", address, flag)
	}
	return fmt.Errorf("listen: %w", err)
}

// Failed is closed when the server can no longer serve without having been asked to stop: its listener
// has ended, or its store. The log says why; a new process is what helps.
func (a *App) Failed() <-chan struct{} { return a.failed }

// About describes the server; its URL is known once Start has returned.
func (a *App) About() About {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.about
}

// Addr is the address that is listened on; nil before Start.
func (a *App) Addr() net.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listener == nil {
		return nil
	}
	return a.listener.Addr()
}

// How long a connection may be in the way without being of use: with half a request's head, and
// between requests.
const (
	readHeaderTimeout = 5 * time.Second // after the first byte, which has five seconds of its own
	idleTimeout       = 2 * time.Minute
)

// What the head of a request may have before it is refused by 431 (rule HTTP-12): room for the longest
// token, the 32 rooms of a stream and their positions. net/http allows itself headerSlop more than it is told.
const (
	maxHeaderBytes = 32 << 10
	headerSlop     = 4 << 10
)

// browsable is an address that this machine can open: any address becomes loopback.
func browsable(a *net.TCPAddr) *net.TCPAddr {
	if a.IP.IsUnspecified() { // a dual-stack listener takes both families
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: a.Port}
	}
	return a
}
