package local_test

import (
	"testing"

	"roomlog/server/bus/local"
	"roomlog/server/room"
	"roomlog/server/room/leasetest"
)

func TestLeases(t *testing.T) {
	leasetest.Run(t, func(testing.TB) leasetest.Factory {
		medium := local.NewMedium()
		return leasetest.Factory{
			Open:    func(_ testing.TB, cluster string) room.Leases { return medium.Leases(cluster) },
			Stop:    func(testing.TB) { medium.Stop(); medium.Flush() },
			Start:   func(testing.TB) { medium.Start() },
			NoPause: "within a process there is nothing between two nodes that could be paused",
			Flush:   func(testing.TB) { medium.Flush() },
		}
	})
}
