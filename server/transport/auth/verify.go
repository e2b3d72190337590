package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/room"
)

const (
	// maxToken bounds what is parsed at all: a token is refused by its length before any work.
	maxToken = 8 << 10
	// leeway is for clocks that disagree.
	leeway = 30 * time.Second
)

// claims are what a token of ours carries. exp is required; nbf is honoured; jku, x5u and other
// headers that point elsewhere are ignored.
type claims struct {
	jwt.RegisteredClaims
	Grants Grants `json:"grants"`
}

// UnmarshalJSON refuses times that are text, which the library would take.
func (c *claims) UnmarshalJSON(text []byte) error {
	var times struct{ Exp, Nbf, Iat json.RawMessage }
	if err := json.Unmarshal(text, &times); err != nil {
		return err
	}
	for _, t := range []json.RawMessage{times.Exp, times.Nbf, times.Iat} {
		if len(t) > 0 && t[0] == '"' {
			return errors.New("a time is a number of seconds")
		}
	}
	type plain claims // without this method
	return json.Unmarshal(text, (*plain)(c))
}

// Validate runs after the signature and the times are found good.
func (c claims) Validate() error {
	if err := CheckUser(c.Subject); err != nil {
		return fmt.Errorf("sub: %w", err)
	}
	return c.Grants.check()
}

// Verifier checks tokens against one key.
type Verifier struct {
	key    []byte
	parser *jwt.Parser
}

// NewVerifier makes a verifier. A key shorter than [MinKey] is an error.
func NewVerifier(key []byte) (*Verifier, error) { return newVerifier(key, time.Now) }

func newVerifier(key []byte, now func() time.Time) (*Verifier, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return &Verifier{key: key, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(now),
	)}, nil
}

func checkKey(key []byte) error {
	if len(key) < MinKey {
		return fmt.Errorf("the signing key has %d bytes; it needs at least %d", len(key), MinKey)
	}
	return nil
}

// Verify checks a token and returns who it names. Errors: `token_expired` for a token of ours whose
// time is over, else `unauthenticated`. A token is good until 30 s
// after its exp, for clocks that disagree, at the door as well as inside (rules AUTH-3, AUTH-9).
func (v *Verifier) Verify(token string) (*Identity, error) {
	if token == "" {
		return nil, refused("A token is needed: Authorization: Bearer TOKEN, or the token of a hello.")
	}
	if len(token) > maxToken {
		return nil, &room.Error{Code: room.CodeUnauthenticated, Title: "The token is longer than any this server makes.", Field: "token", Limit: maxToken}
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.key, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, &room.Error{Code: room.CodeTokenExpired, Title: "The token has expired; get a new one.", Field: "token"}
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, refused("The token is not valid yet.")
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return nil, refused("The token's claims are not right: it needs exp, a sub of 1 to 128 bytes and well-formed grants.")
	case err != nil:
		// The parser's own text may quote the token.
		return nil, refused("The token is not a JWT signed by this server's key with HS256.")
	}
	who := &Identity{User: c.Subject, Grants: c.Grants, Until: c.ExpiresAt.Add(leeway), ID: c.RegisteredClaims.ID}
	if c.IssuedAt != nil {
		who.IssuedAt = c.IssuedAt.Time
	}
	return who, nil
}

func refused(title string) *room.Error {
	return &room.Error{Code: room.CodeUnauthenticated, Title: title, Field: "token"}
}
