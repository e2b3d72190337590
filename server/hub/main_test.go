package hub

import (
	"testing"

	"go.uber.org/goleak"
)

// Every test stops its hub, and no goroutine of any may be left at the end.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
