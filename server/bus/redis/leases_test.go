//go:build unix

package redis_test

import (
	"strings"
	"testing"

	"roomlog/server/bus/redis"
	"roomlog/server/room"
	"roomlog/server/room/leasetest"
)

func TestLeases(t *testing.T) {
	leasetest.Run(t, func(t testing.TB) leasetest.Factory {
		s := serve(t)
		return leasetest.Factory{
			Open: func(t testing.TB, cluster string) room.Leases {
				t.Helper()
				l, err := redis.OpenLeases("redis://"+s.Address(), cluster)
				no(t, err)
				return l
			},
			Stop:   func(t testing.TB) { no(t, s.Stop()) },
			Start:  func(t testing.TB) { no(t, s.Restart()) },
			Pause:  func(t testing.TB) { no(t, s.Pause()) },
			Resume: func(t testing.TB) { no(t, s.Resume()) },
			Flush:  func(t testing.TB) { do(t, s, "FLUSHALL") },
		}
	})
}

// The rights that the documentation names are enough.
func TestLeasesRights(t *testing.T) {
	s := serve(t)
	rights := "resetkeys resetchannels -@all ~roomlog:* &roomlog:* +hello +ping +cluster +client|setname +publish +subscribe +unsubscribe " +
		"+eval +evalsha +time +hget +hset +hgetall +hdel +pexpire"
	do(t, s, append([]string{"ACL", "SETUSER", "node", "on", ">" + password}, strings.Fields(rights)...)...)
	l, err := redis.OpenLeases("redis://node:"+password+"@"+s.Address(), "main")
	no(t, err)
	g, err := l.Hold(t.Context(), "a", 60e9)
	no(t, err)
	held, err := l.Renew(t.Context(), room.Lease{Name: "a", Generation: g}, 60e9)
	if all, err2 := l.List(t.Context()); err != nil || err2 != nil || !held || len(all) != 1 {
		t.Errorf("held %t, %v, listed %v, %v", held, err, all, err2)
	}
	no(t, l.Release(t.Context(), room.Lease{Name: "a", Generation: g}))
	no(t, l.Close())
}
