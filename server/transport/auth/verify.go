package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// claims are what a token of ours carries. exp is required; nbf is honoured.
type claims struct {
	jwt.RegisteredClaims
	Grants Grants `json:"grants"`
}

// UnmarshalJSON takes claims by their exact names (RFC 7519 section 10.1.1). encoding/json would take `Sub` for
// `sub`, and issuers let users choose claims of their own. It refuses times that are text, which the library
// would take.
func (c *claims) UnmarshalJSON(text []byte) error {
	var all map[string]json.RawMessage // of a name that comes twice the last, as RFC 7519 section 4 has it
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if t := all[name]; len(t) > 0 && t[0] == '"' {
			return errors.New("a time is a number of seconds")
		}
	}
	for name := range all {
		if !slices.Contains(claimNames, name) {
			delete(all, name)
		}
	}
	exact, err := json.Marshal(all)
	if err != nil {
		return err
	}
	type plain claims // without this method
	return json.Unmarshal(exact, (*plain)(c))
}

// claimNames are the claims that are looked at.
var claimNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "grants"}

// Validate runs after the signature and the times are found good.
func (c claims) Validate() error {
	if err := CheckUser(c.Subject); err != nil {
		return fmt.Errorf("sub: %w", err)
	}
	return c.Grants.Check()
}

// Keys are what tokens are checked with, and what they have to say. At least one of Secret, Public and
// Sets is given.
type Keys struct {
	Secret []byte      // of HS256, at least [MinKey] bytes
	Public []PublicKey // of RS256, ES256 and EdDSA, see [ParsePublicKeys]
	Sets   []*KeySet   // of issuers; a token that names one of them as its iss is checked by its set alone

	// Issuers are the iss that a token checked by Secret or Public may have; none: any or none, but that
	// of a set.
	Issuers []string
	// Audiences are the aud that a token may have, one of them; none: any or none.
	Audiences []string
}

// Verifier checks tokens.
type Verifier struct {
	keys   Keys
	sets   map[string]*KeySet // by issuer
	parser *jwt.Parser
	judge  *jwt.Validator // of what the parser judges besides the signature
	known  known
	now    func() time.Time
}

// NewVerifier makes a verifier of tokens signed by HS256 with one key. A key shorter than [MinKey] is an error.
func NewVerifier(key []byte) (*Verifier, error) { return New(Keys{Secret: key}) }

// New makes a verifier of several keys. It is an error to give none, a secret shorter than [MinKey], or
// two sets of one issuer. The sets are its callers' to run.
func New(keys Keys) (*Verifier, error) { return newVerifier(keys, time.Now) }

func newVerifier(keys Keys, now func() time.Time) (*Verifier, error) {
	if keys.Secret != nil || len(keys.Public)+len(keys.Sets) == 0 {
		if err := checkKey(keys.Secret); err != nil {
			return nil, err
		}
	}
	v := &Verifier{keys: keys, sets: make(map[string]*KeySet), now: now}
	for _, s := range keys.Sets {
		if v.sets[s.issuer] != nil || slices.Contains(keys.Issuers, s.issuer) {
			return nil, fmt.Errorf("the issuer %s has two sources of keys", s.issuer)
		}
		v.sets[s.issuer] = s
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{hs256, rs256, es256, eddsa}),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(now),
	}
	if len(keys.Audiences) > 0 {
		options = append(options, jwt.WithAudience(keys.Audiences...))
	}
	v.parser, v.judge = jwt.NewParser(options...), jwt.NewValidator(options...)
	return v, nil
}

func checkKey(key []byte) error {
	if len(key) < MinKey {
		return fmt.Errorf("the signing key has %d bytes; it needs at least %d", len(key), MinKey)
	}
	return nil
}

// Verify checks a token and returns who it names. Errors: `token_expired` for a token of ours whose
// time is over; `unavailable` while the keys of its issuer could not be fetched yet; else
// `unauthenticated`. A token is good until 30 s after its exp, for clocks that disagree, at the door as
// well as inside (rules AUTH-3, AUTH-9).
func (v *Verifier) Verify(token string) (*Identity, error) {
	if token == "" {
		return nil, refused("A token is needed: Authorization: Bearer TOKEN, or the token of a hello.")
	}
	if len(token) > maxToken {
		return nil, &room.Error{Code: room.CodeUnauthenticated, Title: "The token is longer than any this server makes.", Field: "token", Limit: maxToken}
	}
	c, err := v.read(token)
	var known *room.Error
	switch {
	case errors.As(err, &known) && known.Code == room.CodeUnavailable:
		return nil, known
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, &room.Error{Code: room.CodeTokenExpired, Title: "The token has expired; get a new one.", Field: "token"}
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, refused("The token is not valid yet.")
	case errors.Is(err, jwt.ErrTokenInvalidAudience), err == nil && !v.takesIssuer(c.Issuer):
		return nil, refused("The token is for another server: its aud or its iss is not one that is taken here.")
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return nil, refused("The token's claims are not right: it needs exp, a sub of 1 to 128 bytes and well-formed grants.")
	case err != nil:
		// The parser's own text may quote the token.
		return nil, refused("The token is not a JWT signed by a key that this server takes, with that key's algorithm.")
	}
	who := &Identity{User: c.Subject, Grants: c.Grants, Until: c.ExpiresAt.Add(leeway), ID: c.RegisteredClaims.ID}
	if c.IssuedAt != nil && !c.IssuedAt.After(v.now().Add(leeway)) {
		who.IssuedAt = c.IssuedAt.Time
	} // else it says nothing: taken at its word, it would outlast every revocation
	return who, nil
}

// read is what a token says, if its signature is good, and what there is against it. The keys of a set may be
// taken back, so that their tokens are checked anew each time.
func (v *Verifier) read(token string) (*claims, error) {
	if c := v.known.find(token); c != nil {
		err := v.judge.Validate(c)
		if err != nil {
			v.known.forget(token)
		}
		return c, err
	}
	c := new(claims)
	_, err := v.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) { return v.candidates(t, c.Issuer) })
	if err == nil && v.sets[c.Issuer] == nil {
		v.known.keep(token, c)
	}
	return c, err
}

// takesIssuer judges the iss of a token whose signature is good.
func (v *Verifier) takesIssuer(issuer string) bool {
	return v.sets[issuer] != nil || len(v.keys.Issuers) == 0 || slices.Contains(v.keys.Issuers, issuer)
}

// candidates are the keys that may have signed a token. The header says which algorithm and, within the
// set of its issuer, which kid; where else it points to (jku, x5u, jwk, x5c) counts for nothing.
func (v *Verifier) candidates(t *jwt.Token, issuer string) (any, error) {
	if _, has := t.Header["crit"]; has { // RFC 7515 section 4.1.11: we understand no extension
		return nil, errors.New("an extension that is critical")
	}
	if typ, has := t.Header["typ"]; has && !takesType(typ) {
		return nil, errors.New("a token of another type")
	}
	alg := t.Method.Alg()
	from := v.keys.Public
	if set := v.sets[issuer]; set != nil {
		kid, _ := t.Header["kid"].(string)
		var err error
		if from, err = set.find(kid, alg); err != nil {
			return nil, err
		}
	} else if alg == hs256 {
		if v.keys.Secret == nil {
			return nil, errors.New("no key of HS256")
		}
		return v.keys.Secret, nil
	}
	var keys jwt.VerificationKeySet
	for _, k := range from {
		if k.alg == alg {
			keys.Keys = append(keys.Keys, k.key)
		}
	}
	return keys, nil
}

// takesType: a token that says what it is says that it is for access (RFC 9068), or just a JWT.
func takesType(typ any) bool {
	name, _ := typ.(string)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	return name == "jwt" || name == "at+jwt"
}

func refused(title string) *room.Error {
	return &room.Error{Code: room.CodeUnauthenticated, Title: title, Field: "token"}
}
