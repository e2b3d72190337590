//go:build unix

package redis_test

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"

	"roomlog/server/bus/redis"
	"roomlog/server/bus/redis/redistest"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
)

func TestBus(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bustest.Factory { return single(t, "", "") })
}

// What is between us and the server may not know RESP3.
func TestBusRESP2(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bustest.Factory { return single(t, "", "protocol=2") })
}

func TestBusValkey(t *testing.T) {
	program := os.Getenv("ROOMLOG_VALKEY_SERVER")
	if program == "" {
		t.Skip("there is no valkey-server here: apt-get install valkey-server, where the distribution has it, and name it in ROOMLOG_VALKEY_SERVER")
	}
	bustest.Run(t, func(t testing.TB) bustest.Factory { return single(t, program, "") })
}

// Every case takes the same Redis Cluster, which needs seconds to begin, and finds nothing of the one before.
func TestBusCluster(t *testing.T) {
	f := cluster(t)
	bustest.Run(t, func(t testing.TB) bustest.Factory {
		f.Start(t)
		return f
	})
}

func BenchmarkBus(b *testing.B) {
	bustest.Benchmark(b, func(t testing.TB) bustest.Factory { return single(t, "", "") })
}

func BenchmarkBusCluster(b *testing.B) { bustest.Benchmark(b, cluster) }

var goroutines = []string{"/server/bus/link.", "/server/bus/redis.", "redis/rueidis."}

const password = "canary-of-the-password"

// single is one server that asks for a password.
func single(t testing.TB, program, query string) bustest.Factory {
	t.Helper()
	s, err := redistest.Start(program, "--requirepass", password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { no(t, s.Close()) })
	dsn := url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: s.Address(), RawQuery: query}
	most := 2
	if query != "" {
		most = 3 // RESP2 has no messages among answers: a line has a second connection
	}
	return bustest.Factory{
		Open:   open(dsn.String()),
		Stop:   func(t testing.TB) { no(t, s.Stop()) },
		Start:  func(t testing.TB) { no(t, s.Restart()) },
		Pause:  func(t testing.TB) { no(t, s.Pause()) },
		Resume: func(t testing.TB) { no(t, s.Resume()) },
		Flush:  func(t testing.TB) { do(t, s, "FLUSHALL") },
		Cut:    func(t testing.TB) { cut(t, s) },
		Connections: func(t testing.TB) int {
			n, err := s.Clients(context.Background())
			no(t, err)
			return n
		},
		Most:       most,
		Goroutines: goroutines,
	}
}

// cluster is a Redis Cluster of three.
func cluster(t testing.TB) bustest.Factory {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := redistest.StartCluster(ctx, "", 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { no(t, c.Close()) })
	all := func(do func(*redistest.Server) error) func(testing.TB) {
		return func(t testing.TB) {
			t.Helper()
			for _, s := range c.Servers {
				no(t, do(s))
			}
		}
	}
	// One address leads to all three.
	return bustest.Factory{
		Open: open("redis://" + c.Servers[0].Address()),
		Stop: all((*redistest.Server).Stop),
		Start: func(t testing.TB) {
			t.Helper()
			all((*redistest.Server).Restart)(t)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			no(t, c.Settle(ctx))
		},
		Pause:  all((*redistest.Server).Pause),
		Resume: all((*redistest.Server).Resume),
		Flush:  all(func(s *redistest.Server) error { _, err := s.Do(context.Background(), "FLUSHALL"); return err }),
		Cut:    func(t testing.TB) { cut(t, c.Servers[1]) }, // one of them is enough
		Connections: func(t testing.TB) int {
			sum := 0
			for _, s := range c.Servers {
				n, err := s.Clients(context.Background())
				no(t, err)
				sum += n
			}
			return sum
		},
		Most:       16 + 3, // a line for each shard, and what publishes, at each primary
		Goroutines: goroutines,
	}
}

func open(dsn string) func(testing.TB, string, room.BusOptions) room.Bus {
	return func(t testing.TB, cluster string, o room.BusOptions) room.Bus {
		t.Helper()
		bus, err := redis.Open(dsn, cluster, o)
		if err != nil {
			t.Fatal(err)
		}
		return bus
	}
}

// cut is what a server does to a subscriber that is too slow.
func cut(t testing.TB, s *redistest.Server) {
	t.Helper()
	do(t, s, "CLIENT", "KILL", "TYPE", "pubsub")
}

func do(t testing.TB, s *redistest.Server, args ...string) string {
	t.Helper()
	answer, err := s.Do(context.Background(), args...)
	no(t, err)
	return answer
}

func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ dsn, cluster string }{
		{"redis://:" + password + "@localhost:6379", "a:b"},
		{"redis://:" + password + "@localhost:6379", ""},
		{"redis://:" + password + "@localhost:6379", "{a}"},
		{"http://:" + password + "@localhost:6379", "main"},
		{"redis://:" + password + "@", "main"},
		{"redis://:" + password + "@localhost:port", "main"},
		{"redis://:" + password + "@localhost/x", "main"},
		{"redis://:" + password + "@local host", "main"},
		{"redis://:" + password + "@localhost?skip_verify=true", "main"},
		{"", "main"},
	} {
		if _, err := redis.Open(c.dsn, c.cluster, room.BusOptions{}); err == nil {
			t.Errorf("%q, cluster %q: taken", c.dsn, c.cluster)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("%q: the error holds the password: %v", c.dsn, err)
		}
	}
}
