package transport

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/transport/auth"
)

// leeway is how long a token is good past its exp (rule AUTH-3).
const leeway = 30 * time.Second

// endsIn makes a token that has all grants and is good for a time from now, the leeway included.
func endsIn(t *testing.T, user string, d time.Duration) string {
	t.Helper()
	exp := float64(time.Now().Add(d-leeway).UnixMilli()) / 1000
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "exp": exp, "grants": auth.Everything(),
	}).SignedString(testKey)
	must(t, err)
	return token
}

func expired(t *testing.T) string { return endsIn(t, "u1", -time.Second) }

func decode(t *testing.T, resp *http.Response) map[string]any {
	t.Helper()
	defer resp.Body.Close()
	var m map[string]any
	must(t, json.NewDecoder(resp.Body).Decode(&m))
	return m
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
