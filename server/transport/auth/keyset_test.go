package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/room"
)

// jwkOf writes a public key as RFC 7517 has it.
func jwkOf(kid string, public any) map[string]any {
	text := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": text(k.N.Bytes()), "e": text(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		return map[string]any{"kty": "EC", "kid": kid, "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": text(k), "key_ops": []string{"verify"}}
	}
	panic(fmt.Sprintf("a %T", public))
}

// issuer publishes a set that a test changes.
type issuer struct {
	*httptest.Server
	text    atomic.Pointer[string] // nil: status 503
	asked   atomic.Int64
	holding sync.Mutex // held: answers wait
}

func publish(t *testing.T, text string) *issuer {
	i := &issuer{}
	i.text.Store(&text)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		i.holding.Lock()
		defer i.holding.Unlock()
		if text := i.text.Load(); text != nil {
			fmt.Fprint(w, *text)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(func() {
		i.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return i
}

// follow makes a set whose clock stands still until the test moves it.
func (i *issuer) follow(t *testing.T, name string) (*KeySet, *atomic.Int64) {
	t.Helper()
	s, err := NewKeySet(name, i.URL+"/keys", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var seconds atomic.Int64
	s.now = func() time.Time { return clock.Add(time.Duration(seconds.Load()) * time.Second) }
	return s, &seconds
}

func codeOf(err error) room.Code {
	if err == nil {
		return ""
	}
	return room.AsError(err).Code
}

// AUTH-13: iss selects the set, and kid the key in it: the same kid of another issuer is another key.
func TestKeysOfIssuers(t *testing.T) {
	p := privates()
	one := publish(t, setOf(jwkOf("key-1", &p.rsa.PublicKey), jwkOf("key-2", &p.ec.PublicKey), jwkOf("", p.ed.Public())))
	two := publish(t, setOf(jwkOf("key-1", &p.otherRSA.PublicKey)))
	a, _ := one.follow(t, "https://one.example")
	b, _ := two.follow(t, "https://two.example")
	v := files(t, func(k *Keys) { k.Sets, k.Public = []*KeySet{a, b}, nil })
	for _, c := range []struct {
		name, iss string
		header    map[string]any
		method    jwt.SigningMethod
		with      any
		good      bool
	}{
		{"RS256 by kid", "https://one.example", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.rsa, true},
		{"ES256 by kid", "https://one.example", map[string]any{"kid": "key-2"}, jwt.SigningMethodES256, p.ec, true},
		{"EdDSA without a kid", "https://one.example", nil, jwt.SigningMethodEdDSA, p.ed, true},
		{"the other issuer's own", "https://two.example", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.otherRSA, true},
		{"the secret, without an issuer", "", nil, jwt.SigningMethodHS256, key, true},

		{"same kid, other issuer", "https://two.example", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.rsa, false},
		{"same kid, other issuer, the other way", "https://one.example", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.otherRSA, false},
		{"another kid of the set", "https://one.example", map[string]any{"kid": "key-2"}, jwt.SigningMethodRS256, p.rsa, false},
		{"no issuer", "", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.rsa, false},
		{"an issuer that is not configured", "https://evil.example", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.rsa, false},
		{"a longer issuer", "https://one.example.evil", map[string]any{"kid": "key-1"}, jwt.SigningMethodRS256, p.rsa, false},
		{"the secret in the name of an issuer", "https://one.example", nil, jwt.SigningMethodHS256, key, false},
		{"a kid that is a number", "https://one.example", map[string]any{"kid": 1}, jwt.SigningMethodRS256, p.otherRSA, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := signWith(t, c.method, c.with, c.header, map[string]any{"iss": c.iss})
			if _, err := v.Verify(token); (err == nil) != c.good || !c.good && codeOf(err) != room.CodeUnauthenticated {
				t.Errorf("%v", err)
			}
		})
	}
	if n := one.asked.Load() + two.asked.Load(); n != 2 {
		t.Errorf("fetched %d times, want once each", n)
	}
}

// A kid that is not there leads to one fetch in a while, however many tokens name one; what was fetched
// stays while its source is away.
func TestFetchesOfKeysAreFew(t *testing.T) { // AUTH-13
	p := privates()
	from := publish(t, "")
	from.text.Store(nil)
	set, seconds := from.follow(t, "iss")
	v := files(t, func(k *Keys) { k.Sets = []*KeySet{set} })
	verify := func(kid string, with *rsa.PrivateKey) room.Code {
		_, err := v.Verify(signWith(t, jwt.SigningMethodRS256, with, map[string]any{"kid": kid}, map[string]any{"iss": "iss"}))
		return codeOf(err)
	}
	expect := func(what string, got, want room.Code, fetches int64) {
		t.Helper()
		if n := from.asked.Load(); got != want || n != fetches {
			t.Errorf("%s: %q after %d fetches, want %q after %d", what, got, n, want, fetches)
		}
	}
	expect("never fetched", verify("a", p.rsa), room.CodeUnavailable, 1)
	expect("and not again at once", verify("a", p.rsa), room.CodeUnavailable, 1)
	text := setOf(jwkOf("a", &p.rsa.PublicKey))
	from.text.Store(&text)
	seconds.Add(10)
	expect("fetched", verify("a", p.rsa), "", 2)
	for i := range 100 {
		expect("made up", verify(fmt.Sprint("made up ", i), p.otherRSA), room.CodeUnauthenticated, 2)
	}
	rotated := setOf(jwkOf("b", &p.otherRSA.PublicKey))
	from.text.Store(&rotated)
	seconds.Add(10)
	expect("rotated", verify("b", p.otherRSA), "", 3)
	expect("the old key is gone", verify("a", p.rsa), room.CodeUnauthenticated, 3)
	from.text.Store(nil)
	seconds.Add(1000)
	expect("the source is away", verify("a", p.rsa), room.CodeUnauthenticated, 4)
	expect("the last good set stays", verify("b", p.otherRSA), "", 4)

	// Many at once wait for one fetch.
	from.text.Store(&text)
	seconds.Add(10)
	from.holding.Lock()
	var wait sync.WaitGroup
	var taken atomic.Int64
	for range 20 {
		wait.Go(func() {
			if verify("a", p.rsa) == "" {
				taken.Add(1)
			}
		})
	}
	for from.asked.Load() < 5 {
		time.Sleep(time.Millisecond) // the pace of looking
	}
	from.holding.Unlock()
	wait.Wait()
	if n := from.asked.Load(); n != 5 {
		t.Errorf("%d fetches for many tokens at once, want one", n-4)
	}
	if taken.Load() == 0 {
		t.Error("none of those who waited was taken")
	}
}

// A source that sends anything else changes nothing.
func TestSetsThatAreRefused(t *testing.T) {
	p := privates()
	weak := maps.Clone(jwkOf("a", &p.rsa.PublicKey))
	weak["n"] = base64.RawURLEncoding.EncodeToString(p.rsa.N.Bytes()[:128])
	private := maps.Clone(jwkOf("a", p.ed.Public()))
	private["d"] = "AAAA"
	encrypts := maps.Clone(jwkOf("a", &p.rsa.PublicKey))
	encrypts["use"] = "enc"
	other := maps.Clone(jwkOf("a", &p.rsa.PublicKey))
	other["alg"] = "RS512"
	off := maps.Clone(jwkOf("a", &p.ec.PublicKey))
	off["y"] = off["x"]
	for name, text := range map[string]string{
		"nothing": "", "a page": "<html>", "no keys": "{}", "a list": "[]", "keys is text": `{"keys":"x"}`,
		"a secret": `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`,
		"weak":     setOf(weak), "private": setOf(private), "for encryption": setOf(encrypts), "of another algorithm": setOf(other), "off the curve": setOf(off),
		"too many":  setOf(make([]map[string]any, maxSetKeys+1)...),
		"too large": setOf(jwkOf("a", &p.rsa.PublicKey)) + strings.Repeat(" ", maxSetBytes),
	} {
		from := publish(t, setOf(jwkOf("a", &p.rsa.PublicKey)))
		set, _ := from.follow(t, "iss")
		if err := set.refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		from.text.Store(&text)
		if err := set.refresh(context.Background()); err == nil {
			t.Errorf("%s: taken", name)
		}
		if keys, err := set.find("a", rs256); err != nil || len(keys) != 1 {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
}

func TestSourcesOfSetsThatAreRefused(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, address := range []string{"", "keys.json", "file:///keys", "http://id.example/keys", "https://user:secret@id.example/keys", "http://127.0.0.1.evil.example/keys", "https://"} {
		if _, err := NewKeySet("iss", address, log); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := NewKeySet("", "https://id.example/keys", log); err == nil {
		t.Error("a set of nobody")
	}
	good := publish(t, setOf(jwkOf("a", &privates().rsa.PublicKey)))
	redirects := httptest.NewServer(http.RedirectHandler(good.URL, http.StatusFound))
	defer redirects.Close()
	var text strings.Builder
	set, err := NewKeySet("iss", redirects.URL+"/?key=secret", slog.New(slog.NewTextHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := set.refresh(context.Background()); err == nil || good.asked.Load() > 0 {
		t.Errorf("a redirect is followed: %v", err)
	}
	if strings.Contains(text.String(), "secret") || !strings.Contains(text.String(), "redirects") {
		t.Error(text.String())
	}
	a, _ := good.follow(t, "iss")
	b, _ := good.follow(t, "iss")
	if _, err := New(Keys{Sets: []*KeySet{a, b}}); err == nil {
		t.Error("two sets of one issuer")
	}
	if _, err := New(Keys{}); err == nil {
		t.Error("no keys at all")
	}
}

// Run fetches before anybody asks, and ends with its context.
func TestRunFetches(t *testing.T) {
	from := publish(t, setOf(jwkOf("a", &privates().rsa.PublicKey)))
	set, _ := from.follow(t, "iss")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		set.Run(ctx)
	}()
	for keys, loaded := set.have("a", rs256); !loaded || len(keys) != 1; keys, loaded = set.have("a", rs256) {
		time.Sleep(time.Millisecond) // the pace of looking
	}
	cancel()
	<-ended
}
