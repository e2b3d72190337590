package auth

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Signer makes tokens that a [Verifier] with the same key takes.
type Signer struct {
	key              []byte
	now              func() time.Time
	issuer, audience string
}

// NewSigner makes a signer. A key shorter than [MinKey] is an error.
func NewSigner(key []byte) (*Signer, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return &Signer{key: key, now: time.Now}, nil
}

// As returns a signer whose tokens have this iss and aud; "" leaves one out.
func (s *Signer) As(issuer, audience string) *Signer {
	as := *s
	as.issuer, as.audience = issuer, audience
	return &as
}

// newTokenID draws the jti by which a token can be revoked alone.
func newTokenID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Sign makes a token for a user that is good for a time, and says until when (whole seconds).
// It is an error to name a user or grants that no verifier would take, or a time below a second.
func (s *Signer) Sign(user string, grants Grants, lives time.Duration) (token string, expires time.Time, err error) {
	if err := CheckUser(user); err != nil {
		return "", time.Time{}, err
	}
	if err := grants.Check(); err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	if lives < time.Second {
		return "", time.Time{}, fmt.Errorf("sign token: it would live %v, less than a second", lives)
	}
	now := s.now().UTC()
	expires = now.Add(lives).Truncate(time.Second)
	c := claims{Grants: grants, RegisteredClaims: jwt.RegisteredClaims{
		ID:        newTokenID(),
		Issuer:    s.issuer,
		Subject:   user,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(expires),
	}}
	if s.audience != "" {
		c.Audience = jwt.ClaimStrings{s.audience}
	}
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(s.key)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return token, expires, nil
}
