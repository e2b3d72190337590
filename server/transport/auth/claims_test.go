package auth

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The names of claims are compared letter by letter (RFC 7519 section 10.1.1). Issuers let users choose claims
// of their own: none of them stands for one of ours.
func TestClaimsAreNamedExactly(t *testing.T) { // AUTH-2, AUTH-3, AUTH-4
	v := verifier(t)
	everything := []any{map[string]any{"rooms": "*", "can": []string{"admin"}}}
	token := sign(t, jwt.SigningMethodHS256, key, map[string]any{
		"Sub": "admin", "ſub": "admin", "Exp": clock.Add(99 * time.Hour).Unix(), "Grants": everything, "GRANTS": everything,
		"Jti": "another", "jti": "t-1", "Iat": clock.Add(time.Minute).Unix(), "iat": clock.Unix(),
		"Nbf": clock.Add(time.Hour).Unix(),
	})
	who, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if who.User != "u1" || !who.Until.Equal(clock.Add(time.Hour+leeway)) || who.Grants.Allow(Admin, "chat:a") || !who.Grants.Allow(Read, "chat:a") ||
		who.ID != "t-1" || !who.IssuedAt.Equal(clock) {
		t.Errorf("%+v", who)
	}
	for name, change := range map[string]map[string]any{
		"no exp but EXP": {"exp": nil, "EXP": clock.Add(time.Hour).Unix()},
		"no sub but SUB": {"sub": nil, "SUB": "u1"},
	} {
		if who, err := v.Verify(sign(t, jwt.SigningMethodHS256, key, change)); err == nil {
			t.Errorf("%s: %+v", name, who)
		}
	}
	narrow, err := New(Keys{Secret: key, Issuers: []string{"https://id"}, Audiences: []string{"roomlog"}})
	if err != nil {
		t.Fatal(err)
	}
	far := time.Now().Add(time.Hour).Unix() // this verifier goes by the time of day
	for name, change := range map[string]map[string]any{
		"for another server": {"iss": "https://id", "aud": "mail", "Aud": "roomlog", "exp": far},
		"of another issuer":  {"iss": "https://other", "Iss": "https://id", "aud": "roomlog", "exp": far},
	} {
		if who, err := narrow.Verify(sign(t, jwt.SigningMethodHS256, key, change)); err == nil {
			t.Errorf("%s: %+v", name, who)
		}
	}
}

// ACC-2: a token cannot have been issued after now. One that says so (in milliseconds, say) would outlast every
// revocation of its user; it counts as the oldest, as one that does not say.
func TestTimesOfIssueThatAreStillToCome(t *testing.T) {
	v := verifier(t)
	for name, c := range map[string]struct {
		iat  any
		want time.Time
	}{
		"a moment ago":     {clock.Add(-time.Second).Unix(), clock.Add(-time.Second)},
		"of a clock ahead": {clock.Add(leeway).Unix(), clock.Add(leeway)},
		"further ahead":    {clock.Add(leeway + time.Second).Unix(), time.Time{}},
		"milliseconds":     {clock.UnixMilli(), time.Time{}},
		"none":             {nil, time.Time{}},
	} {
		who, err := v.Verify(sign(t, jwt.SigningMethodHS256, key, map[string]any{"iat": c.iat}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !who.IssuedAt.Equal(c.want) {
			t.Errorf("%s: issued at %v, want %v", name, who.IssuedAt, c.want)
		}
	}
}
