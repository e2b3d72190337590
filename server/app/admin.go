package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"roomlog/server/transport"
)

// buildAdmin makes what answers on the admin listener, for whoever has the key that the data folder keeps.
func (a *App) buildAdmin(metrics http.Handler) error {
	if a.cfg.AdminListen == "" {
		return nil
	}
	key, err := keptKey(a.cfg.Data, adminKeyFile)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	a.admin = &http.Server{
		Handler: guarded(key, mux), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		ReadTimeout: readHeaderTimeout, WriteTimeout: adminWithin,
		ErrorLog: slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
	}
	return nil
}

// adminWithin bounds an answer of the admin listener.
const adminWithin = 30 * time.Second

// guarded lets requests through that have the key. What they asked for is not said to others.
func guarded(key []byte, next http.Handler) http.Handler {
	want := sha256.Sum256(key)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token)) // of one length, so that comparing tells nothing
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "The admin listener takes Authorization: Bearer and the key in "+adminKeyFile+" of the data folder.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// startAdmin listens on the admin address, if there is one. The caller holds a.mu.
func (a *App) startAdmin() error {
	if a.admin == nil {
		return nil
	}
	listener, err := net.Listen("tcp", a.cfg.AdminListen)
	if err != nil {
		return listenError(a.cfg.AdminListen, "--admin-listen", err)
	}
	a.about.Admin = "http://" + listener.Addr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := a.admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.cfg.Log.Error("serve the admin listener", "err", err)
		}
	}()
	a.undo.push("close the admin listener", func(context.Context) error {
		err := a.admin.Close()
		<-ended
		return err
	})
	return nil
}

// validateAdmin refuses an admin listener that others than this machine could reach.
func (c Config) validateAdmin() error {
	if c.AdminListen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.AdminListen)
	if err != nil || !transport.LocalHost(host) {
		return configErrorf("--admin-listen is a loopback HOST:PORT, such as 127.0.0.1:9090, not %q", c.AdminListen)
	}
	return nil
}
