//go:build unix

package redis_test

import (
	"fmt"
	"os"
	"testing"

	"roomlog/server/room/bustest"
)

// certificate and key are files that servers of these tests use, and that these tests trust.
var certificate, key string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "roomlog-bus-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
		certificate, key, err = bustest.Certificate(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
