package auth

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/room"
)

// A token that is known is judged by the clock as any other: it expires, and where the clock is set back it is
// not valid yet (AUTH-3, AUTH-9).
func TestAKnownTokenExpires(t *testing.T) {
	at := time.Now()
	v, err := newVerifier(Keys{Secret: key}, func() time.Time { return at })
	must(t, err)
	s, err := NewSigner(key)
	must(t, err)
	token, expires, err := s.Sign("u1", Everything(), time.Hour)
	must(t, err)
	for range 2 {
		who, err := v.Verify(token)
		if err != nil || who.User != "u1" || !who.Grants.Everywhere(Admin) || !who.Until.Equal(expires.Add(30*time.Second)) || who.ID == "" || who.IssuedAt.IsZero() {
			t.Fatalf("%+v %v", who, err)
		}
	}
	if v.known.find(token) == nil {
		t.Error("it is not known")
	}
	at = expires.Add(31 * time.Second)
	for range 2 { // known, then forgotten
		if _, err := v.Verify(token); room.AsError(err).Code != room.CodeTokenExpired {
			t.Errorf("%v, want token_expired", err)
		}
	}
	if v.known.find(token) != nil {
		t.Error("an expired token is kept")
	}
}

// What is not the very token is checked: a changed signature, and a token of another key.
func TestOnlyTheVeryTokenIsKnown(t *testing.T) {
	v, err := NewVerifier(key)
	must(t, err)
	s, err := NewSigner(key)
	must(t, err)
	token, _, err := s.Sign("u1", Everything(), time.Hour)
	must(t, err)
	_, err = v.Verify(token)
	must(t, err)
	for i := len(token) - 20; i < len(token)-1; i++ { // the last character has bits that count for nothing
		c := byte('A')
		if token[i] == c {
			c = 'B'
		}
		if _, err := v.Verify(token[:i] + string(c) + token[i+1:]); err == nil {
			t.Errorf("a signature with another character at %d is taken", i)
		}
	}
	other, err := NewVerifier([]byte("another key of more than thirty-two bytes"))
	must(t, err)
	if _, err := other.Verify(token); err == nil {
		t.Error("taken by a verifier of another key")
	}
}

// There are only so many, and none that is long.
func TestKnownTokensAreBounded(t *testing.T) {
	var k known
	for i := range knownTokens + 100 {
		k.keep(fmt.Sprint(i), new(claims))
	}
	k.keep(string(make([]byte, knownBytes+1)), new(claims))
	if n := len(k.of); n != knownTokens {
		t.Errorf("%d tokens are known, want %d", n, knownTokens)
	}
	if k.find(fmt.Sprint(knownTokens+99)) == nil {
		t.Error("the last one is not")
	}
}

func BenchmarkVerify(b *testing.B) {
	s, err := NewSigner(key)
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := s.Sign("u1", Everything(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for name, again := range map[string]bool{"first": false, "again": true} {
		b.Run(name, func(b *testing.B) {
			v, err := NewVerifier(key)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err != nil {
					b.Fatal(err)
				}
				if !again {
					v.known.forget(token)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// AUTH-13: an issuer that takes its key back takes back all tokens that it signed.
func TestTokensOfASetAreNotKnown(t *testing.T) {
	p := privates()
	one := publish(t, setOf(jwkOf("key-1", &p.rsa.PublicKey)))
	a, seconds := one.follow(t, "https://one.example")
	v := files(t, func(k *Keys) { k.Sets, k.Public = []*KeySet{a}, nil })
	token := signWith(t, jwt.SigningMethodRS256, p.rsa, map[string]any{"kid": "key-1"}, map[string]any{"iss": "https://one.example"})
	for range 2 {
		_, err := v.Verify(token)
		must(t, err)
	}
	other := setOf(jwkOf("key-2", &p.ec.PublicKey))
	one.text.Store(&other)
	seconds.Store(3600)
	another := signWith(t, jwt.SigningMethodES256, p.ec, map[string]any{"kid": "key-2"}, map[string]any{"iss": "https://one.example"})
	_, err := v.Verify(another) // has the set fetched
	must(t, err)
	if _, err := v.Verify(token); codeOf(err) != room.CodeUnauthenticated {
		t.Errorf("%v, want unauthenticated", err)
	}
}
