package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/room"
)

var (
	key   = []byte("thirty-two bytes are the least!!")
	clock = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
)

func verifier(t *testing.T) *Verifier {
	t.Helper()
	v, err := newVerifier(Keys{Secret: key}, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sign makes a token of any claims, good ones where a case does not say otherwise.
func sign(t *testing.T, method jwt.SigningMethod, with any, change map[string]any) string {
	t.Helper()
	c := jwt.MapClaims{"sub": "u1", "exp": clock.Add(time.Hour).Unix(), "grants": []any{map[string]any{"rooms": "chat:*", "can": []string{"read"}}}}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	s, err := jwt.NewWithClaims(method, c).SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signRaw makes a token of claims as they are written.
func signRaw(t *testing.T, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum, err := jwt.SigningMethodHS256.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sum)
}

func TestSignedTokensAreTaken(t *testing.T) { // AUTH-1, AUTH-2
	s, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return clock }
	token, expires, err := s.Sign("ann é", Grants{{"chat:*", []Action{Read, Send}}, {"game:1", []Action{Read}}}, time.Minute)
	if err != nil || !expires.Equal(clock.Add(time.Minute)) {
		t.Fatal(expires, err)
	}
	who, err := verifier(t).Verify(token)
	if err != nil || who.User != "ann é" || !who.Until.Equal(expires.Add(leeway)) {
		t.Fatalf("%+v, %v", who, err)
	}
	if who.ID == "" || !who.IssuedAt.Equal(clock) {
		t.Errorf("the token's jti is %q, its iat %v", who.ID, who.IssuedAt)
	}
	if !who.Grants.Allow(Send, "chat:a") || !who.Grants.Allow(Read, "game:1") || who.Grants.Allow(Send, "game:1") {
		t.Errorf("%+v", who.Grants)
	}
}

func TestVerifyRefuses(t *testing.T) {
	v := verifier(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	hs, good := jwt.SigningMethodHS256, sign(t, jwt.SigningMethodHS256, key, nil)
	if _, err := v.Verify(good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	noneHeader := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","typ":"JWT"}`)) + "." + parts[1] + "."
	}
	for _, c := range []struct {
		name, token string
		code        room.Code
	}{
		{"none at all", "", room.CodeUnauthenticated},
		{"AUTH-1 not a token", "x", room.CodeUnauthenticated},
		{"AUTH-1 dots", strings.Repeat(".", 8000), room.CodeUnauthenticated},
		{"AUTH-1 a million dots", strings.Repeat(".", 1_000_000), room.CodeUnauthenticated},
		{"AUTH-1 alg none", noneHeader("none"), room.CodeUnauthenticated},
		{"AUTH-1 alg None", noneHeader("None"), room.CodeUnauthenticated},
		{"AUTH-1 alg nOnE", noneHeader("nOnE"), room.CodeUnauthenticated},
		{"AUTH-1 HS512", sign(t, jwt.SigningMethodHS512, key, nil), room.CodeUnauthenticated},
		{"AUTH-1 RS256", sign(t, jwt.SigningMethodRS256, rsaKey, nil), room.CodeUnauthenticated},
		{"AUTH-1 HS256 with a public key", sign(t, hs, x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), nil), room.CodeUnauthenticated},
		{"AUTH-1 other key", sign(t, hs, []byte("another key of thirty-two bytes!"), nil), room.CodeUnauthenticated},
		{"AUTH-1 changed", parts[0] + "." + parts[1] + "x." + parts[2], room.CodeUnauthenticated},
		{"AUTH-1 no signature", parts[0] + "." + parts[1] + ".", room.CodeUnauthenticated},
		{"AUTH-3 expired", sign(t, hs, key, map[string]any{"exp": clock.Add(-leeway).Unix()}), room.CodeTokenExpired},
		{"AUTH-3 no exp", sign(t, hs, key, map[string]any{"exp": nil}), room.CodeUnauthenticated},
		{"AUTH-3 exp is text", sign(t, hs, key, map[string]any{"exp": "9999999999"}), room.CodeUnauthenticated},
		{"AUTH-3 negative exp", sign(t, hs, key, map[string]any{"exp": -1}), room.CodeTokenExpired},
		{"AUTH-3 nbf", sign(t, hs, key, map[string]any{"nbf": clock.Add(time.Minute).Unix()}), room.CodeUnauthenticated},
		{"AUTH-2 no sub", sign(t, hs, key, map[string]any{"sub": nil}), room.CodeUnauthenticated},
		{"AUTH-2 empty sub", sign(t, hs, key, map[string]any{"sub": ""}), room.CodeUnauthenticated},
		{"AUTH-2 sub is a list", sign(t, hs, key, map[string]any{"sub": []string{"u1"}}), room.CodeUnauthenticated},
		{"AUTH-2 long sub", sign(t, hs, key, map[string]any{"sub": strings.Repeat("x", 129)}), room.CodeUnauthenticated},
		{"AUTH-2 control in sub", sign(t, hs, key, map[string]any{"sub": "a\nb"}), room.CodeUnauthenticated},
		{"AUTH-2 C1 control in sub", sign(t, hs, key, map[string]any{"sub": "a\u0085b"}), room.CodeUnauthenticated},
		{"AUTH-2 dot", sign(t, hs, key, map[string]any{"sub": "."}), room.CodeUnauthenticated},                     // no path can name them: clients
		{"AUTH-2 dots", sign(t, hs, key, map[string]any{"sub": ".."}), room.CodeUnauthenticated},                   // and proxies take them for steps
		{"AUTH-2 half of a character", signRaw(t, `{"sub":"a\ud83d","exp":1795435200}`), room.CodeUnauthenticated}, // read like any other half
		{"AUTH-2 not UTF-8", signRaw(t, "{\"sub\":\"a\xff\",\"exp\":1795435200}"), room.CodeUnauthenticated},
		{"AUTH-4 star inside", sign(t, hs, key, map[string]any{"grants": Grants{{"chat:*x", nil}}}), room.CodeUnauthenticated},
		{"AUTH-4 no pattern", sign(t, hs, key, map[string]any{"grants": Grants{{"", nil}}}), room.CodeUnauthenticated},
		{"AUTH-4 unknown action", sign(t, hs, key, map[string]any{"grants": Grants{{"*", []Action{"fly"}}}}), room.CodeUnauthenticated},
		{"AUTH-4 grants is text", sign(t, hs, key, map[string]any{"grants": "*"}), room.CodeUnauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, err := v.Verify(c.token)
			if err == nil {
				t.Fatalf("taken as %+v", who)
			}
			e := room.AsError(err)
			if e.Code != c.code {
				t.Errorf("refused as %v, want %s", err, c.code)
			}
			for _, part := range strings.Split(c.token, ".") { // ERR-6
				if len(part) > 8 && strings.Contains(e.Error(), part) {
					t.Errorf("the error repeats the token: %v", e)
				}
			}
		})
	}
	within := sign(t, hs, key, map[string]any{"exp": clock.Add(-leeway + time.Second).Unix()})
	if who, err := v.Verify(within); err != nil || !who.Until.Equal(clock.Add(time.Second)) {
		t.Errorf("within the leeway: %+v, %v", who, err)
	}
	if who, err := v.Verify(sign(t, hs, key, map[string]any{"exp": 1e18})); err == nil && !who.Until.After(clock) {
		t.Errorf("a far exp became %v", who.Until)
	}
}

func TestPatterns(t *testing.T) { // AUTH-4, ROOM-2
	for _, c := range []struct {
		pattern string
		id      room.ID
		want    bool
	}{
		{"chat:a", "chat:a", true},
		{"chat:a", "chat:ab", false},
		{"chat:a", "chat:a:b", false},
		{"chat:a", "chat:A", false},
		{"chat:*", "chat:a:b", true},
		{"chat:*", "chatx:a", false},
		{"chat:a*", "chat:a", true},
		{"chat:a*", "chat:b", false},
		{"*", "any:room", true},
		{"chat", "chat:a", false},
	} {
		if got := (Grants{{c.pattern, []Action{Read}}}).Allow(Read, c.id); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.id, got)
		}
	}
}

func TestKeysAndWhatIsSigned(t *testing.T) {
	if _, err := NewVerifier(key[:31]); err == nil {
		t.Error("a short key verifies")
	}
	if _, err := NewSigner(key[:31]); err == nil {
		t.Error("a short key signs")
	}
	s, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user   string
		grants Grants
		lives  time.Duration
	}{{"", nil, time.Hour}, {"a\x00", nil, time.Hour}, {"a", Grants{{"**", nil}}, time.Hour}, {"a", nil, 0}, {"a", nil, -time.Hour}} {
		if _, _, err := s.Sign(c.user, c.grants, c.lives); err == nil {
			t.Errorf("signed %+v", c)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s, _ := NewSigner(key)
	token, _, _ := s.Sign("u1", Everything(), time.Hour)
	f.Add(token)
	f.Add("..")
	p := quick()
	keys := Keys{Secret: key}
	for _, one := range []any{p.rsa, &p.ec.PublicKey, p.ed.Public()} {
		public, err := publicKey(one)
		if err != nil {
			f.Fatal(err)
		}
		keys.Public = append(keys.Public, public)
	}
	claims := jwt.MapClaims{"sub": "u1", "exp": time.Now().Add(time.Hour).Unix()}
	for method, private := range map[jwt.SigningMethod]any{jwt.SigningMethodES256: p.ec, jwt.SigningMethodEdDSA: p.ed} {
		signed, err := jwt.NewWithClaims(method, claims).SignedString(private)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signed)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SigningString()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(unsigned + "." + strings.Repeat("A", 342))
	v, _ := New(keys)
	f.Fuzz(func(t *testing.T, text string) {
		who, err := v.Verify(text)
		if err != nil {
			if c := room.AsError(err).Code; c != room.CodeUnauthenticated && c != room.CodeTokenExpired {
				t.Fatal(err)
			}
		} else if CheckUser(who.User) != nil || !who.Until.After(time.Now()) {
			t.Fatalf("%+v", who)
		}
	})
}
