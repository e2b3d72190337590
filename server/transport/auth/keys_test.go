package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/room"
)

// private are keys made once for all tests; what is made twice is there to be mistaken for the other.
type private struct {
	rsa, otherRSA *rsa.PrivateKey
	ec, otherEC   *ecdsa.PrivateKey
	ed            ed25519.PrivateKey
}

var privates = sync.OnceValue(func() private {
	var p private
	var errs [5]error
	p.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	p.otherRSA, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	p.ec, errs[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.otherEC, errs[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, p.ed, errs[4] = ed25519.GenerateKey(rand.Reader)
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return p
})

func pemOf(t *testing.T, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// files makes a verifier with all three kinds of public keys beside the secret.
func files(t *testing.T, change func(*Keys)) *Verifier {
	t.Helper()
	p := privates()
	keys := Keys{Secret: key}
	for _, public := range []any{&p.rsa.PublicKey, &p.ec.PublicKey, p.ed.Public()} {
		some, err := ParsePublicKeys(pemOf(t, public))
		if err != nil {
			t.Fatal(err)
		}
		keys.Public = append(keys.Public, some...)
	}
	if change != nil {
		change(&keys)
	}
	v, err := newVerifier(keys, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signWith is sign with headers of one's own.
func signWith(t *testing.T, method jwt.SigningMethod, with any, header, change map[string]any) string {
	t.Helper()
	c := jwt.MapClaims{"sub": "u1", "exp": clock.Add(time.Hour).Unix()}
	for k, v := range change {
		c[k] = v
	}
	token := jwt.NewWithClaims(method, c)
	for k, v := range header {
		token.Header[k] = v
	}
	s, err := token.SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// AUTH-1, AUTH-12: the algorithm is the key's, whatever a token says.
func TestEachKeyChecksItsOwnAlgorithm(t *testing.T) {
	p, v := privates(), files(t, nil)
	es384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pemOf(t, &p.rsa.PublicKey)
	publicDER, _ := pem.Decode(publicPEM)
	for _, c := range []struct {
		name   string
		method jwt.SigningMethod
		with   any
		header map[string]any
		good   bool
	}{
		{"HS256", jwt.SigningMethodHS256, key, nil, true},
		{"RS256", jwt.SigningMethodRS256, p.rsa, nil, true},
		{"ES256", jwt.SigningMethodES256, p.ec, nil, true},
		{"EdDSA", jwt.SigningMethodEdDSA, p.ed, nil, true},
		{"a kid that files do not have", jwt.SigningMethodES256, p.ec, map[string]any{"kid": "any"}, true},
		{"an access token", jwt.SigningMethodES256, p.ec, map[string]any{"typ": "at+JWT"}, true},
		{"jku and others are ignored", jwt.SigningMethodES256, p.ec, map[string]any{"jku": "http://127.0.0.1:1/", "x5u": 1, "jwk": map[string]any{}}, true},

		{"another RSA key", jwt.SigningMethodRS256, p.otherRSA, nil, false},
		{"another P-256 key", jwt.SigningMethodES256, p.otherEC, nil, false},
		{"HS256 with the public key's PEM", jwt.SigningMethodHS256, publicPEM, nil, false},
		{"HS256 with the public key's DER", jwt.SigningMethodHS256, publicDER.Bytes, nil, false},
		{"HS256 with the modulus", jwt.SigningMethodHS256, p.rsa.N.Bytes(), nil, false},
		{"HS256 with the Edwards key", jwt.SigningMethodHS256, []byte(p.ed.Public().(ed25519.PublicKey)), nil, false},
		{"RS384 by the right key", jwt.SigningMethodRS384, p.rsa, nil, false},
		{"PS256 by the right key", jwt.SigningMethodPS256, p.rsa, nil, false},
		{"HS512 by the right key", jwt.SigningMethodHS512, key, nil, false},
		{"ES384", jwt.SigningMethodES384, es384, nil, false},
		{"none", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, false},
		{"jwk brings its own key", jwt.SigningMethodRS256, p.otherRSA, map[string]any{"jwk": jwkOf("x", &p.otherRSA.PublicKey)}, false},
		{"a logout token", jwt.SigningMethodES256, p.ec, map[string]any{"typ": "logout+jwt"}, false},
		{"typ is a list", jwt.SigningMethodES256, p.ec, map[string]any{"typ": []string{"JWT"}}, false},
		{"a critical extension", jwt.SigningMethodES256, p.ec, map[string]any{"crit": []string{"b64"}, "b64": false}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := signWith(t, c.method, c.with, c.header, nil)
			switch who, err := v.Verify(token); {
			case c.good && (err != nil || who.User != "u1"):
				t.Errorf("refused: %v", err)
			case !c.good && err == nil:
				t.Errorf("taken as %+v", who)
			case !c.good && room.AsError(err).Code != room.CodeUnauthenticated:
				t.Error(err)
			}
		})
	}
	// A server that has public keys alone takes no HS256 at all.
	v = files(t, func(k *Keys) { k.Secret = nil })
	for _, with := range [][]byte{key, {}, publicPEM} {
		if who, err := v.Verify(signWith(t, jwt.SigningMethodHS256, with, nil, nil)); err == nil {
			t.Errorf("without a secret: taken as %+v", who)
		}
	}
	if _, err := v.Verify(signWith(t, jwt.SigningMethodRS256, p.rsa, nil, nil)); err != nil {
		t.Error(err)
	}
}

func TestPublicKeyFiles(t *testing.T) {
	p := privates()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	es384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(p.ed)
	if err != nil {
		t.Fatal(err)
	}
	good := pemOf(t, &p.rsa.PublicKey)
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&p.rsa.PublicKey)})
	for _, c := range []struct {
		name string
		text []byte
		keys int
		says string
	}{
		{"one", good, 1, ""},
		{"PKCS 1", pkcs1, 1, ""},
		{"two", append(append([]byte("a comment\n"), good...), pemOf(t, p.ed.Public())...), 2, ""},
		{"nothing", nil, 0, "not a PEM"},
		{"text behind", append(good[:len(good):len(good)], "-----BEGIN PUBLIC"...), 0, "not a PEM"},
		{"damaged", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1, 2}}), 0, "cannot be read"},
		{"1,024 bits", pemOf(t, &small.PublicKey), 0, "1024 bits"},
		{"P-384", pemOf(t, &es384.PublicKey), 0, "P-256"},
		{"a private key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0, "PRIVATE KEY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParsePublicKeys(c.text)
			if len(keys) != c.keys || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d keys, %v; want %d, %q", len(keys), err, c.keys, c.says)
			}
		})
	}
}

// AUTH-13: iss and aud are checked where they are configured.
func TestIssuerAndAudience(t *testing.T) {
	v := files(t, func(k *Keys) {
		k.Issuers, k.Audiences = []string{"https://id.example", "second"}, []string{"roomlog", "chat"}
	})
	for _, c := range []struct {
		name   string
		change map[string]any
		good   bool
	}{
		{"both", map[string]any{"iss": "https://id.example", "aud": "roomlog"}, true},
		{"one of several", map[string]any{"iss": "second", "aud": []string{"other", "chat"}}, true},
		{"neither", nil, false},
		{"no aud", map[string]any{"iss": "second"}, false},
		{"no iss", map[string]any{"aud": "roomlog"}, false},
		{"another aud", map[string]any{"iss": "second", "aud": "other"}, false},
		{"an empty list", map[string]any{"iss": "second", "aud": []string{}}, false},
		{"another iss", map[string]any{"iss": "https://id.example/", "aud": "roomlog"}, false},
		{"iss is a list", map[string]any{"iss": []string{"second"}, "aud": "roomlog"}, false},
	} {
		_, err := v.Verify(signWith(t, jwt.SigningMethodHS256, key, nil, c.change))
		if (err == nil) != c.good || err != nil && room.AsError(err).Code != room.CodeUnauthenticated {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return clock }
	token, _, err := s.As("second", "chat").Sign("u1", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(token); err != nil {
		t.Errorf("what the signer makes: %v", err)
	}
}

// AUTH-3: clocks may disagree by 30 s, and not by a minute.
func TestClockSkew(t *testing.T) {
	for at, want := range map[time.Duration]struct{ exp, nbf room.Code }{
		0:                 {room.CodeTokenExpired, ""}, // exp is the first moment at which it is over, nbf the first at which it is good
		25 * time.Second:  {room.CodeTokenExpired, ""},
		-25 * time.Second: {"", ""},
		60 * time.Second:  {room.CodeTokenExpired, ""},
		-60 * time.Second: {"", room.CodeUnauthenticated},
	} {
		at := at
		v, err := newVerifier(Keys{Secret: key}, func() time.Time { return clock.Add(at) })
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			change map[string]any
			want   room.Code
		}{
			"over since 30 s": {map[string]any{"exp": clock.Add(-leeway).Unix()}, want.exp},
			"good from now":   {map[string]any{"nbf": clock.Unix()}, want.nbf},
			"from the future": {map[string]any{"iat": clock.Add(time.Minute).Unix()}, ""}, // iat is not a condition
		} {
			code := room.Code("")
			if _, err := v.Verify(signWith(t, jwt.SigningMethodHS256, key, nil, c.change)); err != nil {
				code = room.AsError(err).Code
			}
			if code != c.want {
				t.Errorf("a clock %v ahead, %s: %q, want %q", at, name, code, c.want)
			}
		}
	}
}

// quickKeys are made in no time, which those of RSA are not where a fuzzer watches. Nobody has the other
// half of its RSA key.
type quickKeys struct {
	rsa *rsa.PublicKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
}

func quick() quickKeys {
	k := quickKeys{rsa: &rsa.PublicKey{N: new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, minRSA/8)), E: 65537}}
	var errs [2]error
	k.ec, errs[0] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, errs[1] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return k
}

func FuzzParseJWKS(f *testing.F) {
	p := quick()
	f.Add(setOf(jwkOf("a", p.rsa), jwkOf("b", &p.ec.PublicKey), jwkOf("c", p.ed.Public())))
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"RSA","n":"AQAB","e":""}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		keys, _, err := parseJWKS([]byte(text))
		if (len(keys) == 0) != (err != nil) {
			t.Fatal(len(keys), err)
		}
		for _, some := range keys {
			for _, k := range some {
				if _, err := publicKey(k.key); err != nil || k.alg == hs256 || k.alg == "" {
					t.Fatalf("%+v: %v", k, err)
				}
			}
		}
	})
}

func setOf(keys ...map[string]any) string {
	text, _ := json.Marshal(map[string]any{"keys": keys})
	return string(text)
}
