package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// The length of a secret's key in bytes, as Standard Webhooks has it.
const (
	minSecret = 24
	maxSecret = 64
)

// secretPrefix begins the text of a secret.
const secretPrefix = "whsec_"

// Secret signs deliveries by the symmetric scheme of Standard Webhooks 1.0. It shows itself nowhere: not in
// logs, errors or JSON.
type Secret struct{ key []byte }

// ParseSecret reads `whsec_` and the base64 of 24 to 64 bytes; white space around it is dropped. The error
// does not repeat it.
func ParseSecret(text string) (Secret, error) {
	encoded, found := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, errors.New("a secret is whsec_ and the base64 of 24 to 64 random bytes: echo whsec_$(openssl rand -base64 32)")
	}
	return Secret{key}, nil
}

// Sign is the webhook-signature of a delivery: `v1,` and the base64 of HMAC-SHA256 over id, the Unix time
// in seconds and the body, joined by dots.
func (s Secret) Sign(id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

const hidden = "(redacted)"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret.
func (Secret) GoString() string { return hidden }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
