package torture

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"roomlog/history"
)

// A database that is put back to an older state under clients of every transport, and later given another epoch: each
// of them is reset, none is given a mix, and what is acked after it is kept (I11, RESET-7, POS-7).
func TestRestoreUnderLoad(t *testing.T) {
	r := alone(t)
	r.rec.mayReset = map[string]bool{"epoch": true, "ahead": true, "diverged": true}
	for i := range 6 {
		r.followers = append(r.followers, r.reader("reader-"+string(rune('a'+i)), []string{"ws", "sse", "poll"}[i%3], roomName(0)))
	}
	for i := range 4 {
		r.writers = append(r.writers, r.sender("writer-"+string(rune('a'+i)), []string{"ws", "http"}[i%2], roomName(0)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := make(chan struct{})
	var following, writing sync.WaitGroup
	for _, f := range r.followers {
		following.Go(func() { f.run(ctx) })
	}
	for _, w := range r.writers {
		writing.Go(func() { w.run(ctx, stop) })
	}
	r.reach(300)
	path := strings.TrimPrefix(r.node.store, "sqlite:")
	backup := map[string][]byte{}
	r.down(func() {
		for _, suffix := range []string{"", "-wal"} {
			backup[suffix], _ = os.ReadFile(path + suffix) // a log that was folded is no file
		}
	})
	r.reach(700)
	began := history.Now()
	r.down(func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(path + suffix)
		}
		for suffix, text := range backup {
			if len(text) > 0 && os.WriteFile(path+suffix, text, 0o600) != nil {
				t.Fatal("the backup cannot be put back")
			}
		}
	})
	r.rec.Add(history.Line{Op: history.OpRestore, Client: "judge", TMono: began, TEnd: history.Now(), Result: history.Fail})
	r.reach(1000)
	began = history.Now()
	r.down(func() {
		if out, err := exec.Command(binary, "epoch", "bump", "--store", r.node.store).CombinedOutput(); err != nil {
			t.Fatalf("epoch bump: %v: %s", err, out)
		}
	})
	r.rec.Add(history.Line{Op: history.OpRestore, Client: "judge", TMono: began, TEnd: history.Now(), Result: history.OK})
	r.reach(1300)
	close(stop)
	r.await("writers have their answers", &writing)
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
	r.judge("I1", "I2", "I4", "I5", "I6", "I8", "I9", "I11")
}

// reach waits until the room's head is there.
func (r *run) reach(head int64) {
	for r.read(roomName(0), "0", 1).Head < head {
		wait(r.t.Context(), pollEvery)
		if r.t.Context().Err() != nil {
			r.t.Fatalf("the room never reached %d", head)
		}
	}
}

// down kills the node, has something done, and starts it again.
func (r *run) down(do func()) {
	if err := r.node.kill(); err != nil {
		r.t.Fatal(err)
	}
	do()
	if err := r.node.start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}
