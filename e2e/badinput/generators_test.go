package badinput

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/golang-jwt/jwt/v5"
	_ "modernc.org/sqlite" // to make a database of a newer schema

	"roomlog/server/store/postgres/pgtest"
)

// canary is in data, and nowhere else but in what readers of its room are given.
const canary = "canary-5e1f"

// expand fills a template of rows.json.
func (a *attempt) expand(text string) string {
	a.t.Helper()
	tmpl, err := template.New("").Funcs(template.FuncMap{
		"room":   func() string { return a.room },
		"tag":    func(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012d", n, 7) },
		"i":      func() int { return a.step },
		"repeat": func(s string, n int) string { return strings.Repeat(s, n) },
		"hex": func(s string) (string, error) {
			b, err := hex.DecodeString(s)
			return string(b), err
		},
		"token":     a.token,
		"ticket":    a.ticket,
		"canary":    func() string { return canary },
		"host":      func() string { return a.addr },
		"data":      func() string { return a.dir },
		"newer":     a.newer,
		"forgetful": a.forgetful,
		"headers": func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "X-Header-%04d: value-%04d\r\n", i, i)
			}
			return b.String()
		},
	}).Parse(text)
	must(a.t, err)
	var b strings.Builder
	must(a.t, tmpl.Execute(&b, nil))
	return b.String()
}

// issuerOne and issuerTwo publish keys of the same kid; filed is the key whose public half the server has in a file.
const (
	issuerOne = "https://one.example"
	issuerTwo = "https://two.example"
)

var (
	filed    = newRSA()
	keyOfOne = newRSA()
	keyOfTwo = newRSA()
)

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// publicKey is the file that the server has: what an attacker would sign with by HS256.
var publicKey = sync.OnceValue(func() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&filed.PublicKey)})
})

// publish serves the key sets of both issuers, at /one and /two.
func publish(t *testing.T) string {
	set := func(key *rsa.PrivateKey) http.HandlerFunc {
		text := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"key-1","use":"sig","e":"AQAB","n":%q}]}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	mux := http.NewServeMux()
	mux.Handle("/one", set(keyOfOne))
	mux.Handle("/two", set(keyOfTwo))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// otherKey is as good as the server's, and not the server's.
var otherKey = []byte("another key of thirty-two bytes!")

// made is how each token of rows.json differs from a good one.
var made = map[string]struct {
	claims map[string]any // nil takes one away
	header map[string]any
	key    any
	alg    jwt.SigningMethod
}{
	"good":         {},
	"other user":   {claims: map[string]any{"sub": "u2"}},
	"reader":       {claims: map[string]any{"grants": []any{map[string]any{"rooms": "chat:*", "can": []string{"read"}}}}},
	"elsewhere":    {claims: map[string]any{"grants": []any{map[string]any{"rooms": "chat:elsewhere", "can": []string{"read", "send"}}}}},
	"admin":        {claims: map[string]any{"sub": "root", "grants": []any{map[string]any{"rooms": "*", "can": []string{"read", "admin"}}}}},
	"of chat":      {claims: map[string]any{"sub": "root", "grants": []any{map[string]any{"rooms": "chat:*", "can": []string{"admin"}}}}},
	"gone":         {claims: map[string]any{"sub": "gone"}},
	"gone jti":     {claims: map[string]any{"sub": "gone", "jti": "t-1"}},
	"banned":       {claims: map[string]any{"sub": "banned"}},
	"rsa":          {key: publicKey()},
	"jku":          {key: otherKey, header: map[string]any{"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert", "jwk": map[string]any{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString(otherKey)}}},
	"good jku":     {header: map[string]any{"jku": "http://127.0.0.1:1/keys"}},
	"by file":      {alg: jwt.SigningMethodRS256, key: filed},
	"by issuer":    {alg: jwt.SigningMethodRS256, key: keyOfOne, header: map[string]any{"kid": "key-1"}, claims: map[string]any{"iss": issuerOne}},
	"kid":          {alg: jwt.SigningMethodRS256, key: keyOfOne, header: map[string]any{"kid": "key-1"}, claims: map[string]any{"iss": issuerTwo}},
	"no issuer":    {alg: jwt.SigningMethodRS256, key: keyOfOne, header: map[string]any{"kid": "key-1"}},
	"secret as":    {header: map[string]any{"kid": "key-1"}, claims: map[string]any{"iss": issuerOne}},
	"expired":      {claims: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}},
	"nbf":          {claims: map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}},
	"no exp":       {claims: map[string]any{"exp": nil}},
	"exp text":     {claims: map[string]any{"exp": fmt.Sprint(time.Now().Add(time.Hour).Unix())}},
	"exp float":    {claims: map[string]any{"exp": float64(time.Now().Add(time.Hour).Unix()) + 0.5}},
	"exp negative": {claims: map[string]any{"exp": -1}},
	"exp huge":     {claims: map[string]any{"exp": json.Number("1000000000000000000")}},
	"exp infinite": {claims: map[string]any{"exp": json.Number("1e308")}},
	"no sub":       {claims: map[string]any{"sub": nil}},
	"sub empty":    {claims: map[string]any{"sub": ""}},
	"sub zero":     {claims: map[string]any{"sub": 0}},
	"sub list":     {claims: map[string]any{"sub": []string{"u1"}}},
	"aud":          {claims: map[string]any{"aud": "other"}},
	"no aud":       {claims: map[string]any{"aud": nil}},
	"iss":          {claims: map[string]any{"iss": "https://other.example"}},
	"no iss":       {claims: map[string]any{"iss": nil}},
	"type":         {header: map[string]any{"typ": "logout+jwt"}},
	"crit":         {header: map[string]any{"crit": []string{"b64"}, "b64": true}},
	"as service":   {claims: map[string]any{"sub": "service:backend"}},
}

// token makes a token by its name, and notes its signature as what the log may not hold.
func (f *fixture) token(name string) (string, error) {
	for _, alg := range []string{"none", "None", "nOnE"} {
		if name == "alg "+alg {
			claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"sub":"u1","exp":%d,"grants":[{"rooms":"*","can":["read","send"]}]}`, time.Now().Add(time.Hour).Unix()))
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","typ":"JWT"}`)) + "." + claims + ".", nil
		}
	}
	m, ok := made[name]
	if !ok {
		return "", fmt.Errorf("no token is called %q", name)
	}
	claims := jwt.MapClaims{"sub": "u1", "iss": "app", "aud": "roomlog", "exp": time.Now().Add(time.Hour).Unix(), "grants": []any{map[string]any{"rooms": "chat:*", "can": []string{"read", "send"}}}}
	for k, v := range m.claims {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	alg := m.alg
	if alg == nil {
		alg = jwt.SigningMethodHS256
	}
	t := jwt.NewWithClaims(alg, claims)
	for k, v := range m.header {
		t.Header[k] = v
	}
	key := m.key
	if key == nil {
		key = []byte(signingKey)
	}
	text, err := t.SignedString(key)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets[text[strings.LastIndexByte(text, '.')+1:]] = true
	return text, err
}

// forgetful is a PostgreSQL that does not wait for its disk.
func (a *attempt) forgetful() (string, error) {
	server, err := pgtest.Start(a.t.Context(), pgtest.Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		return "", err
	}
	a.t.Cleanup(func() { must(a.t, server.Close()) })
	return server.DSN(""), nil
}

// ticket gets a ticket from the server, and notes it as what the log may not hold.
func (a *attempt) ticket() (string, error) {
	token, err := a.token("good")
	if err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+a.addr+"/v1/tickets", nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var made struct{ Ticket string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Ticket == "" {
		return "", fmt.Errorf("no ticket: %s, %v", resp.Status, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[made.Ticket] = true
	return made.Ticket, nil
}

// newer is a data folder whose database has a schema of the future.
func (a *attempt) newer() (string, error) {
	dir := a.t.TempDir()
	out, err := os.Create(filepath.Join(dir, "started"))
	if err != nil {
		return "", err
	}
	server := exec.Command(program, "dev", "--listen", "127.0.0.1:0", "--data", dir)
	server.Stdout = out
	if err := server.Start(); err != nil {
		return "", err
	}
	addressIn(a.t, out.Name())
	if err := server.Process.Signal(os.Interrupt); err != nil {
		return "", err
	}
	if err := server.Wait(); err != nil {
		return "", err
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "roomlog.db"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	_, err = db.Exec("insert into goose_db_version (version_id, is_applied) values (999, true)")
	return dir, err
}
