package torture

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"roomlog/history"
)

// keptEvents is how many events the rooms of this test keep.
const keptEvents = 150

// Rooms that are pruned while they are written and read: whoever comes back from below the floor is told so, over
// every transport, and nobody is given part of what is gone, or nothing in its place (I12, RET-1, RET-2).
func TestPruningUnderLoad(t *testing.T) {
	config := filepath.Join(t.TempDir(), "roomlog.yaml")
	if err := os.WriteFile(config, []byte("kinds: {chat: {retention: {events: 150}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := alone(t, "--config", config, "--retention-every", "50ms")
	r.rec.mayReset = map[string]bool{"pruned": true}
	var sleepers []*follower
	for i, transport := range []string{"ws", "sse", "poll"} {
		letter := string(rune('a' + i))
		r.followers = append(r.followers, r.reader("reader-"+letter, transport, roomName(0)))
		sleepers = append(sleepers, r.reader("sleeper-"+letter, transport, roomName(0)))
	}
	for i := range 3 {
		r.writers = append(r.writers, r.sender("writer-"+string(rune('a'+i)), []string{"ws", "http"}[i%2], roomName(0)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := make(chan struct{})
	var following, writing, watching sync.WaitGroup
	for _, f := range r.followers {
		following.Go(func() { f.run(ctx) })
	}
	for _, w := range r.writers {
		writing.Go(func() { w.run(ctx, stop) })
	}
	watch, stopWatch := context.WithCancel(t.Context())
	watching.Go(func() { r.watch(watch) })
	for head := int64(4 * keptEvents); head <= 12*keptEvents; head += 4 * keptEvents {
		r.reach(head)
		if head == 8*keptEvents {
			r.down(func() {})
		}
		for _, f := range sleepers { // each comes back from far below the floor, and sleeps again
			awake, sleep := context.WithTimeout(ctx, 300*time.Millisecond)
			f.run(awake)
			sleep()
		}
	}
	close(stop)
	r.await("writers have their answers", &writing)
	stopWatch()
	watching.Wait()
	r.followers = append(r.followers, sleepers...)
	for _, f := range sleepers {
		following.Go(func() { f.run(ctx) })
	}
	r.rec.Add(history.Line{Op: history.OpQuiet, Client: "judge"})
	r.awaitHeads()
	cancel()
	following.Wait()
	r.readFinal()
	if err := r.node.stop(); err != nil {
		t.Error(err)
	}
	if err := r.rec.Close(); err != nil {
		t.Fatal(err)
	}
	r.judge("I1", "I2", "I3", "I4", "I8", "I9", "I12", "I13")
}
