package main

import "testing"

func TestGarbageIsAsMuchAsIsAliveOrALittle(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 400}, {8 << 20, 400}, {10 << 20, 300}, {16 << 20, 200}, {22 << 20, 100}, {32 << 20, 100}, {1 << 40, 100}} {
		if got := garbagePercent(c.live); got != c.want {
			t.Errorf("with %d MiB alive the percentage is %d, not %d", c.live>>20, got, c.want)
		}
	}
}
