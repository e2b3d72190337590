package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokenConfigIsRefusedInOneSentence(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public := pemText(t, newKey(t))
	source := "https://id.example=https://id.example/jwks.json"
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // "" where it is taken
	}{
		{"a public key alone", func(c *Config) { c.Key, c.PublicKeyFile = "", []string{file("public", public)} }, ""},
		{"a key set alone", func(c *Config) { c.Key, c.JWKSURL = "", []string{source} }, ""},
		{"services alone", func(c *Config) {
			c.Key, c.ServiceKeysFile = "", file("alone", "backend: {key: "+testKey+", grants: []}")
		}, "serve needs a key"},
		{"no such file", func(c *Config) { c.PublicKeyFile = []string{filepath.Join(dir, "none")} }, "--public-key-file"},
		{"no public key", func(c *Config) { c.PublicKeyFile = []string{file("text", "hello")} }, "not a PEM file"},
		{"a public key as the secret", func(c *Config) { c.Key, c.KeyFile = "", file("pem", public) }, "give a public key by --public-key-file"},
		{"a set without issuer", func(c *Config) { c.JWKSURL = []string{"https://id.example/jwks.json"} }, "ISSUER=URL"},
		{"a set over http", func(c *Config) { c.JWKSURL = []string{"a=http://id.example/jwks.json"} }, "https"},
		{"an issuer twice", func(c *Config) { c.JWKSURL = []string{source, source} }, "twice"},
		{"an issuer of both", func(c *Config) { c.JWKSURL, c.Issuer = []string{source}, []string{"https://id.example"} }, "own keys"},
		{"an empty audience", func(c *Config) { c.Audience = []string{""} }, "--audience"},
		{"no such services", func(c *Config) { c.ServiceKeysFile = filepath.Join(dir, "none") }, "--service-keys-file"},
		{"services are no YAML", func(c *Config) { c.ServiceKeysFile = file("bad", "CANARY: [") }, "cannot be read"},
		{"a service with another field", func(c *Config) { c.ServiceKeysFile = file("field", "a: {kee: CANARY}") }, "cannot be read"},
		{"a short service key", func(c *Config) { c.ServiceKeysFile = file("short", "a: {key: CANARY, grants: []}") }, "at least 32"},
		{"a guessable service key", func(c *Config) {
			c.ServiceKeysFile = file("same", "a: {key: "+strings.Repeat("CANARY", 6)+", grants: []}")
		}, "can be guessed"},
		{"a service with a bad grant", func(c *Config) {
			c.ServiceKeysFile = file("grant", "a: {key: CANARY"+testKey+", grants: [{rooms: '*', can: [fly]}]}")
		}, "none of read, send, moderate and admin"},
		{"one key for two", func(c *Config) {
			c.ServiceKeysFile = file("two", "a: {key: CANARY"+testKey+"}\nb: {key: CANARY"+testKey+"}")
		}, "the key of another"},
		{"the signing key for a service", func(c *Config) { c.ServiceKeysFile = file("signing", "a: {key: "+testKey+"}") }, "the key of another"},
		{"the signing key of a file for a service", func(c *Config) {
			c.Key, c.KeyFile, c.ServiceKeysFile = "", file("key", testKey+"\n"), file("signing", "a: {key: "+testKey+"}")
		}, "the key of another"},
		{"a key where a name is due", func(c *Config) { c.ServiceKeysFile = file("name", "CANARY"+testKey+": {key: x}") }, "is not named by"},
		{"no services", func(c *Config) { c.ServiceKeysFile = file("empty", "") }, "names no service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Key: testKey, Origins: []string{"none"}}
			c.change(&cfg)
			cfg = cfg.withDefaults()
			err := cfg.validate()
			if err == nil {
				_, err = cfg.openDoors()
			}
			if c.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var bad *ConfigError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want a ConfigError with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), testKey) {
				t.Errorf("%q is not one line, or holds a key", err)
			}
		})
	}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func pemText(t *testing.T, private ed25519.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// A server without a secret of its own: tokens by a file and by an issuer's key set, and a service that
// acts for a user (AUTH-12 to AUTH-14).
func TestServeWithoutASecret(t *testing.T) {
	private, issued := newKey(t), newKey(t)
	publishes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":%q}]}`, base64.RawURLEncoding.EncodeToString(issued.Public().(ed25519.PublicKey)))
	}))
	defer publishes.Close()
	dir := t.TempDir()
	public, services := filepath.Join(dir, "public.pem"), filepath.Join(dir, "services.yaml")
	for path, text := range map[string]string{public: pemText(t, private), services: "backend:\n  key: " + testKey + "\n  grants: [{rooms: 'chat:*', can: [read, send]}]\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := New(t.Context(), Config{
		Listen: "127.0.0.1:0", Data: filepath.Join(dir, "data"), Origins: []string{"none"}, Kinds: NamedKinds("chat"),
		PublicKeyFile: []string{public}, JWKSURL: []string{"https://id.example=" + publishes.URL}, ServiceKeysFile: services, Audience: []string{"roomlog"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	token := func(with ed25519.PrivateKey, issuer, audience string) string {
		made := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"sub": "mira", "exp": time.Now().Add(time.Hour).Unix(), "iss": issuer, "aud": audience,
			"grants": []any{map[string]any{"rooms": "chat:*", "can": []string{"read"}}},
		})
		made.Header["kid"] = "k1"
		text, err := made.SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"by the file":                  {token(private, "", "roomlog"), 200},
		"by the set":                   {token(issued, "https://id.example", "roomlog"), 200},
		"by the file, as the issuer":   {token(private, "https://id.example", "roomlog"), 401},
		"by the set, without its name": {token(issued, "", "roomlog"), 401},
		"for another":                  {token(private, "", "other"), 401},
		"a service":                    {testKey, 200},
	} {
		if status := ask(t, "GET", a.About().URL+"/v1/rooms/chat:a/events", c.token, "", nil); status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
	}
	var stored struct{ Author string }
	body := `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e","type":"message","data":1}`
	if status := ask(t, "POST", a.About().URL+"/v1/rooms/chat:a/events", testKey, body, &stored); status != 201 || stored.Author != "service:backend" {
		t.Errorf("%d, author %q", status, stored.Author)
	}
}
