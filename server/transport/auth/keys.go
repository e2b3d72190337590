package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms that tokens are signed with (RFC 7518, RFC 8037). Which of them a key checks is a
// property of the key, never the choice of a token.
var (
	hs256 = jwt.SigningMethodHS256.Alg()
	rs256 = jwt.SigningMethodRS256.Alg()
	es256 = jwt.SigningMethodES256.Alg()
	eddsa = jwt.SigningMethodEdDSA.Alg()
)

// minRSA and maxRSA bound an RSA modulus in bits: fewer can be factored, more cost too much to check.
const (
	minRSA = 2048
	maxRSA = 8192
)

// PublicKey checks the signatures of one algorithm. Its zero value checks none.
type PublicKey struct {
	alg string
	key any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// publicKey finds the one algorithm of a key.
func publicKey(key any) (PublicKey, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return PublicKey{}, fmt.Errorf("an RSA key of %d bits; it needs %d to %d", n, minRSA, maxRSA)
		}
		if k.E < 3 || k.E&1 == 0 {
			return PublicKey{}, errors.New("an RSA key with an exponent that no one uses")
		}
		return PublicKey{rs256, k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, errors.New("an elliptic key of another curve than P-256")
		}
		return PublicKey{es256, k}, nil
	case ed25519.PublicKey:
		return PublicKey{eddsa, k}, nil
	}
	return PublicKey{}, errors.New("a key of a kind that checks neither RS256, ES256 nor EdDSA")
}

// ParsePublicKeys reads a file of PEM blocks: PUBLIC KEY (RFC 5280) and RSA PUBLIC KEY (RFC 8017). RSA
// checks RS256, P-256 checks ES256, Ed25519 checks EdDSA. A private key, a weak one, any other block and
// a file without one are errors.
func ParsePublicKeys(text []byte) ([]PublicKey, error) {
	var keys []PublicKey
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		var parsed any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
		default:
			return nil, fmt.Errorf("it holds a %.40q where a PUBLIC KEY is due", block.Type)
		}
		if err != nil {
			return nil, errors.New("it holds a public key that cannot be read")
		}
		key, err := publicKey(parsed)
		if err != nil {
			return nil, fmt.Errorf("it holds %w", err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("it is not a PEM file of public keys")
	}
	return keys, nil
}

// jwk is what is read of a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
type jwk struct {
	Kty, Kid, Use, Alg, Crv string
	N, E, X, Y, D           string
	Ops                     []string `json:"key_ops"`
}

// parseJWKS reads a JSON Web Key Set into keys by kid. Keys that check no signature of ours are left
// out, and skipped says how many.
func parseJWKS(text []byte) (keys map[string][]PublicKey, skipped int, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, 0, errors.New("the answer is not a JSON Web Key Set")
	}
	if len(set.Keys) > maxSetKeys {
		return nil, 0, fmt.Errorf("the set has %d keys; at most %d are taken", len(set.Keys), maxSetKeys)
	}
	keys = make(map[string][]PublicKey)
	for _, raw := range set.Keys {
		var j jwk
		if err := json.Unmarshal(raw, &j); err != nil {
			skipped++
			continue
		}
		key, err := j.publicKey()
		if err != nil {
			skipped++
			continue
		}
		keys[j.Kid] = append(keys[j.Kid], key)
	}
	if len(keys) == 0 {
		return nil, skipped, errors.New("the set has no key that checks RS256, ES256 or EdDSA")
	}
	return keys, skipped, nil
}

func (j jwk) publicKey() (PublicKey, error) {
	if j.D != "" {
		return PublicKey{}, errors.New("a private key that is published")
	}
	if j.Use != "" && j.Use != "sig" {
		return PublicKey{}, errors.New("a key for something else")
	}
	if len(j.Ops) > 0 && !slices.Contains(j.Ops, "verify") {
		return PublicKey{}, errors.New("a key for something else")
	}
	var parsed any
	switch j.Kty {
	case "RSA":
		n, e := integer(j.N), integer(j.E)
		if n == nil || e == nil || e.BitLen() > 31 {
			return PublicKey{}, errors.New("an RSA key that cannot be read")
		}
		parsed = &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		x, y := octets(j.X), octets(j.Y)
		if j.Crv != "P-256" || len(x) != 32 || len(y) != 32 {
			return PublicKey{}, errors.New("an elliptic key that cannot be read")
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil { // a point off the curve
			return PublicKey{}, errors.New("an elliptic key that cannot be read")
		}
		parsed = key
	case "OKP":
		x := octets(j.X)
		if j.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return PublicKey{}, errors.New("an Edwards key that cannot be read")
		}
		parsed = ed25519.PublicKey(x)
	}
	key, err := publicKey(parsed)
	if err == nil && j.Alg != "" && j.Alg != key.alg {
		return PublicKey{}, errors.New("a key for another algorithm")
	}
	return key, err
}

// octets reads base64url without padding; nil where it is none.
func octets(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}

func integer(text string) *big.Int {
	b := octets(text)
	if len(b) == 0 || len(b) > maxRSA/8 {
		return nil
	}
	return new(big.Int).SetBytes(b)
}
