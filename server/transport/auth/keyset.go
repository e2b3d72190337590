package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"roomlog/server/room"
)

const (
	// refreshEvery is how often a set is fetched anew: so long may a key be used that its issuer took away.
	refreshEvery = 5 * time.Minute
	// refetchAfter is how soon an unknown kid, or a fetch that failed, may lead to another fetch. Tokens
	// that are made up cannot cause more.
	refetchAfter = 10 * time.Second
	// fetchWithin bounds one fetch, and so how long a token may wait for it.
	fetchWithin = 5 * time.Second
	// maxSetBytes and maxSetKeys bound what is taken of a set.
	maxSetBytes = 256 << 10
	maxSetKeys  = 100
)

// KeySet holds the keys that one issuer publishes at a URL (a JSON Web Key Set, RFC 7517), by kid. The
// URL is the operator's: nothing in a token leads to a fetch from elsewhere. The last good set is kept
// while the URL does not answer. Make one with [NewKeySet]; all methods may be called concurrently.
type KeySet struct {
	issuer, url  string
	client       *http.Client
	log          *slog.Logger
	now          func() time.Time
	refetchAfter time.Duration

	mu     sync.Mutex
	keys   map[string][]PublicKey // by kid, "" for keys without; nil: never fetched
	tried  time.Time
	flight chan struct{} // closed when the fetch under way ends; nil: there is none
}

// NewKeySet makes a set that is empty until it is fetched: by [KeySet.Run], or for the first token of
// its issuer. The URL is https, or http to this machine alone.
func NewKeySet(issuer, address string, log *slog.Logger) (*KeySet, error) {
	u, err := url.Parse(address)
	switch {
	case issuer == "":
		return nil, errors.New("a key set needs the issuer that it belongs to")
	case err != nil || u.Host == "" || u.User != nil:
		return nil, fmt.Errorf("the keys of %s have no URL of the form https://HOST/PATH", issuer)
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, fmt.Errorf("the keys of %s have to come over https", issuer)
	}
	return &KeySet{
		issuer: issuer, url: address, log: log, now: time.Now, refetchAfter: refetchAfter,
		client: &http.Client{
			// A redirect would name another source than the operator did.
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the URL redirects") },
			Timeout:       fetchWithin,
		},
	}, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// Issuer is whose keys these are.
func (s *KeySet) Issuer() string { return s.issuer }

// Run fetches the set now, and again and again until ctx ends.
func (s *KeySet) Run(ctx context.Context) {
	for {
		wait := refreshEvery
		if s.refresh(ctx) != nil {
			wait = s.refetchAfter
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// find returns the keys of an algorithm that may have signed a token with this kid; "" is a token that
// names none. An unknown kid leads to a fetch, unless there has just been one. Errors: `unavailable`
// where the set was never fetched.
func (s *KeySet) find(kid, alg string) ([]PublicKey, error) {
	keys, loaded := s.have(kid, alg)
	if len(keys) > 0 {
		return keys, nil
	}
	if s.mayFetch() {
		_ = s.refresh(context.Background()) // bounded by fetchWithin; what it found is looked at, and it is logged
		keys, loaded = s.have(kid, alg)
	}
	if !loaded {
		return nil, &room.Error{
			Code: room.CodeUnavailable, RetryAfter: s.refetchAfter, Field: "token",
			Title: "The keys of the token's issuer cannot be fetched just now; try again.",
		}
	}
	return keys, nil
}

func (s *KeySet) have(kid, alg string) (keys []PublicKey, loaded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	take := func(some []PublicKey) {
		for _, k := range some {
			if k.alg == alg {
				keys = append(keys, k)
			}
		}
	}
	if kid != "" {
		take(s.keys[kid])
		return keys, s.keys != nil
	}
	for _, some := range s.keys {
		take(some)
	}
	return keys, s.keys != nil
}

func (s *KeySet) mayFetch() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight != nil || s.now().Sub(s.tried) >= s.refetchAfter
}

// refresh fetches the set, or waits for the fetch that is under way: there is one at a time.
func (s *KeySet) refresh(ctx context.Context) error {
	s.mu.Lock()
	if flight := s.flight; flight != nil {
		s.mu.Unlock()
		select {
		case <-flight: // at most fetchWithin
		case <-ctx.Done():
		}
		return nil
	}
	flight := make(chan struct{})
	s.flight, s.tried = flight, s.now()
	s.mu.Unlock()

	keys, skipped, err := s.fetch(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	close(flight)
	switch {
	case err == nil:
		s.keys = keys
		if skipped > 0 {
			s.log.Debug("keys left out", "issuer", s.issuer, "keys", skipped)
		}
	case ctx.Err() == nil:
		s.log.Warn("keys could not be fetched; the last ones stay", "issuer", s.issuer, "err", err, "have", len(s.keys))
	}
	return err
}

func (s *KeySet) fetch(ctx context.Context) (map[string][]PublicKey, int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read the keys: %w", err)
	}
	if len(text) > maxSetBytes {
		return nil, 0, fmt.Errorf("the answer is larger than %d bytes", maxSetBytes)
	}
	return parseJWKS(text)
}

// withoutURL leaves the URL out of an error for the log: its query may be a secret.
func withoutURL(err error) error {
	var wrapped *url.Error
	if !errors.As(err, &wrapped) {
		return err
	}
	var op *net.OpError
	if errors.As(wrapped.Err, &op) {
		return op
	}
	return wrapped.Err
}
