package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"roomlog/server/cluster"
	"roomlog/server/room"
	"roomlog/server/transport"
	"roomlog/spec"
	"roomlog/web"
)

// buildHTTP makes what answers requests: the API, in dev also the pages and their tunnels.
func (a *App) buildHTTP(d *doors, store wholeStore) error {
	proxies, err := a.cfg.trustedProxies()
	if err != nil {
		return err
	}
	a.keySets = d.sets
	cfg := transport.Config{
		Hub: a.hub, Verifier: d.verifier, Services: d.services, DevSigner: d.devSigner, TokenInURL: a.cfg.Dev || a.cfg.TokenInURL,
		TrustedProxies: proxies, Admit: a.pressure.admit,
		Origins: a.cfg.allowedOrigins(), Kinds: a.kinds, Rooms: store, Search: store, Erasures: a.eraser, Reports: store, Access: store, Webhooks: a.engine, Poke: a.poke(store), Limits: a.cfg.limits(),
		Node: a.cfg.toldNode(), Version: a.cfg.Version, Store: store.Info, PingEvery: a.cfg.PingEvery, DrainOver: a.cfg.DrainOver,
		RevocationsKept: a.cfg.RevocationsKept, Ready: answers(store), Errors: spec.Errors, Log: a.cfg.Log,
		Look: transport.Look{Style: web.Style(a.cfg.Dev), Script: web.FirstScript, Icon: web.Icon},
	}
	if cfg.ClusterKey, err = a.cfg.clusterKey(); err != nil {
		return err
	}
	cfg.Seen = a.people.seen
	cfg.Members, _ = store.(room.Members)
	cfg.Overviews, _ = store.(room.Overviews)
	cfg.Receipts, cfg.Presence, cfg.Signals = a.receipts, a.people.presence, a.people.signals
	cfg.Docs = a.docs
	if a.streams != nil {
		cfg.Streams = a.streams
	}
	if tickets, can := store.(room.TicketStore); can { // one that nodes share
		cfg.Tickets = tickets
	}
	if a.node != nil {
		cfg.AccessChanged = a.node.AccessChanged
		cfg.SayMe = func(body []byte) { a.node.SayAll(cluster.PartMe, body) }
	}
	if a.cfg.Bus != noBus {
		cfg.Self, cfg.SayTo = peerName(a.node.Self()), a.sayTo
	}
	if a.cfg.Dev {
		cfg.Pages = web.Handler()
	}
	server, err := transport.New(cfg)
	if err != nil {
		return err
	}
	a.api = server
	a.undo.push("close the connections", server.Close)
	a.metrics = &metrics{hub: a.hub, node: a.node, transport: server, store: store, pressure: a.pressure, pauses: a.pauses, keeper: a.keeper, engine: a.engine, calls: a.calls, besides: a.besides()}
	shown := newMetrics(a.cfg.Version, a.metrics)
	if err := a.buildAdmin(shown); err != nil {
		return err
	}
	var handler http.Handler = server
	if a.cfg.Dev {
		mux := http.NewServeMux()
		mux.Handle("/", server)
		mux.Handle("/metrics", server.Local(map[string]func(http.ResponseWriter, *http.Request) error{
			http.MethodGet: func(w http.ResponseWriter, r *http.Request) error { shown.ServeHTTP(w, r); return nil },
		}))
		a.tunnels = newTunnels()
		a.tunnels.routes(mux, server)
		handler = mux
	}
	a.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes - headerSlop,
		IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug), // clients that hang up in the middle, mostly
	}
	return nil
}

// answers asks the store for a head, which needs it to be there; the room need not exist.
func answers(store room.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := store.Heads(ctx, []room.ID{"ready:question"}); err != nil {
			return fmt.Errorf("read a head: %w", err)
		}
		return nil
	}
}
