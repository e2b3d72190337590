package local_test

import (
	"testing"

	"roomlog/server/bus/local"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
)

func factory(testing.TB) bustest.Factory {
	medium := local.NewMedium()
	return bustest.Factory{
		Open: func(_ testing.TB, cluster string, o room.BusOptions) room.Bus {
			return medium.Join(cluster, o)
		},
		Stop:          func(testing.TB) { medium.Stop() },
		Start:         func(testing.TB) { medium.Start() },
		NoPause:       "within a process there is nothing between two nodes that could be paused",
		NoFlush:       "within a process nothing is kept",
		NoCut:         "within a process there are no connections",
		NoConnections: "within a process there are none",
		Goroutines:    []string{"/server/bus/link.", "/server/bus/local.("},
	}
}

func TestBus(t *testing.T) { bustest.Run(t, factory) }

func BenchmarkBus(b *testing.B) { bustest.Benchmark(b, factory) }
