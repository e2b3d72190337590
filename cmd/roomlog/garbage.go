package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// spareGarbage is how much garbage the heap may hold, however little of it is alive. A server's live heap is
// small beside the stacks of its connections and the kernel's buffers: to collect each time that it has doubled
// is an eighth of the processor while sends come, and saves a few megabytes.
const spareGarbage = 32 << 20

// leaveGarbage has the heap collected when it has doubled, or holds spareGarbage where that is more; GOGC says
// otherwise. Near the memory limit the runtime collects as often as it must, whatever is said here.
func leaveGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := 0
	var collected func(*[16]byte)
	collected = func(*[16]byte) {
		metrics.Read(live)
		if want := garbagePercent(live[0].Value.Uint64()); want != percent {
			percent = want
			debug.SetGCPercent(percent)
		}
		runtime.SetFinalizer(new([16]byte), collected) // runs after the next collection
	}
	collected(nil)
}

// garbagePercent is GOGC for a live heap. It goes in steps, so that it is seldom set anew.
func garbagePercent(live uint64) int {
	const step = 50
	least := max(live, spareGarbage/4) // at most 400 per cent: right after the start nothing is alive yet
	return int(max(spareGarbage*100/least/step*step, 100))
}
