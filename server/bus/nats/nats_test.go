//go:build unix

package nats_test

import (
	"strings"
	"testing"

	"roomlog/chaos"
	"roomlog/server/bus/nats"
	"roomlog/server/bus/nats/natstest"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
)

func TestBus(t *testing.T) { bustest.Run(t, factory) }

func BenchmarkBus(b *testing.B) { bustest.Benchmark(b, direct) }

var goroutines = []string{"/server/bus/link.", "/server/bus/nats.", "nats-io/nats.go."}

// direct is a server without anything in front of it.
func direct(t testing.TB) bustest.Factory {
	t.Helper()
	return bustest.Factory{Open: open(serve(t).URL()), Goroutines: goroutines}
}

// factory is a server with something in front of it that cuts connections, as no server is asked to.
func factory(t testing.TB) bustest.Factory {
	t.Helper()
	s := serve(t)
	proxy, err := chaos.Listen("127.0.0.1:0", s.Address())
	no(t, err)
	t.Cleanup(func() { no(t, proxy.Close()) })
	return bustest.Factory{
		Open:    open("nats://" + proxy.Addr().String()),
		Stop:    func(t testing.TB) { no(t, s.Stop()) },
		Start:   func(t testing.TB) { no(t, s.Restart()) },
		Pause:   func(t testing.TB) { no(t, s.Pause()) },
		Resume:  func(t testing.TB) { no(t, s.Resume()) },
		NoFlush: "core NATS keeps nothing",
		Cut:     func(testing.TB) { proxy.CutAll() },
		Connections: func(t testing.TB) int {
			n, err := s.Clients()
			no(t, err)
			return n
		},
		Most:       1,
		Goroutines: goroutines,
	}
}

func serve(t testing.TB, settings ...string) *natstest.Server {
	t.Helper()
	s, err := natstest.Start(settings...)
	no(t, err)
	t.Cleanup(func() { no(t, s.Close()) })
	return s
}

func open(dsn string) func(testing.TB, string, room.BusOptions) room.Bus {
	return func(t testing.TB, cluster string, o room.BusOptions) room.Bus {
		t.Helper()
		bus, err := nats.Open(dsn, cluster, o)
		if err != nil {
			t.Fatal(err)
		}
		return bus
	}
}

func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ dsn, cluster string }{
		{"nats://user:" + password + "@localhost:4222", "a.b"},
		{"nats://user:" + password + "@localhost:4222", ">"},
		{"nats://user:" + password + "@localhost:4222", ""},
		{"http://user:" + password + "@localhost:4222", "main"},
		{"nats://user:" + password + "@", "main"},
		{"nats://user:" + password + "@localhost:port", "main"},
		{"nats://user:" + password + "@localhost/x", "main"},
		{"nats://localhost,redis://user:" + password + "@localhost", "main"},
		{"", "main"},
	} {
		if _, err := nats.Open(c.dsn, c.cluster, room.BusOptions{}); err == nil {
			t.Errorf("%q, cluster %q: taken", c.dsn, c.cluster)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("%q: the error holds the password: %v", c.dsn, err)
		}
	}
}
