package webhook

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Every test stops what it starts, and no goroutine may be left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing waits that long when all is well.
const patience = 2 * time.Minute

var loopback = Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}

func secret(t *testing.T) Secret {
	t.Helper()
	s, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
