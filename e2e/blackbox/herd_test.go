package blackbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// herdRooms are the rooms of the herd.
const herdRooms = 20

// herdSize is how many clients lose their node: ROOMLOG_HERD=5000 for as many as the file descriptors allow.
func herdSize(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("ROOMLOG_HERD"))
	if os.Getenv("ROOMLOG_HERD") == "" {
		return 500
	}
	must(t, err)
	return n
}

// A herd loses its node (kill -9) and is back on another that has none of its rooms in memory: all of it, without a reset,
// let in at the rate that is configured, and the database is read once for each room (LIM-11, CLOSE-8, JOIN-4).
func TestHerdLosesItsNode(t *testing.T) {
	size := herdSize(t)
	rate := max(size/5, 1)
	db := database(t)
	a := node(t, db)
	b := node(t, db, "--accepts-per-second", strconv.Itoa(rate), "--accept-burst", "1") // no two at once, however slowly they come
	token := a.token("mira")
	head := make(map[string]int64)
	for i := range herdRooms {
		for n := range 5 {
			head[herdRoom(i)] = insist(t, a.url, token, herdRoom(i), tag(i*100+n))
		}
	}
	herd := make([]*follower, size)
	var gathering sync.WaitGroup
	errs, at := make([]error, size), make(chan struct{}, 32)
	for i := range herd {
		herd[i] = &follower{token: token, room: herdRoom(i % herdRooms)}
		at <- struct{}{}
		gathering.Go(func() {
			defer func() { <-at }()
			if errs[i] = herd[i].open(t.Context(), a.url); errs[i] == nil {
				errs[i] = herd[i].reach(t.Context(), head[herd[i].room])
			}
		})
	}
	gathering.Wait()
	must(t, errors.Join(errs...))
	for i := range herdRooms { // by the other node, which nobody reads at: the herd has to catch up on it
		for n := range 5 {
			head[herdRoom(i)] = insist(t, b.url, token, herdRoom(i), tag(i*100+50+n))
		}
	}
	before := storeReads(t, b)
	var told atomic.Int64
	var back sync.WaitGroup
	for i, f := range herd {
		back.Go(func() {
			_ = f.drain(t.Context())
			errs[i] = f.comeBack(t.Context(), b.url, &told)
			if errs[i] == nil {
				errs[i] = f.reach(t.Context(), head[f.room])
			}
		})
	}
	began := time.Now()
	must(t, a.cmd.Process.Kill())
	back.Wait()
	took := time.Since(began)
	for i, err := range errs {
		if err != nil {
			t.Fatalf("client %d of %d: %v", i, size, err)
		}
		defer herd[i].conn.CloseNow()
	}
	after := storeReads(t, b)
	reads := after.pages - before.pages
	t.Logf("%d clients of %d rooms are back after %v at %d a second, %d times told to come later; %d reads of the database, %d queries for heads",
		size, herdRooms, took.Round(time.Millisecond), rate, told.Load(), reads, after.heads-before.heads)
	if reads > herdRooms {
		t.Errorf("%d reads of the database for %d rooms", reads, herdRooms)
	}
	if told.Load() == 0 {
		t.Error("nobody was told to come later: the rate was not put to the test")
	}
}

func herdRoom(i int) string { return fmt.Sprintf("chat:herd-%d", i) }

// comeBack dials as clients do: after a random time that grows, and not sooner than told (CLOSE-8). told counts how often
// that was.
func (f *follower) comeBack(ctx context.Context, url string, told *atomic.Int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	wait := time.Duration(0)
	for attempt := 0; ; attempt++ {
		jitter := rand.N(min(20*time.Second, 250*time.Millisecond<<min(attempt, 10)))
		select {
		case <-time.After(max(jitter, wait)):
		case <-ctx.Done():
			return ctx.Err()
		}
		err := f.open(ctx, url)
		if err == nil {
			return nil
		}
		if f.conn != nil {
			f.conn.CloseNow()
		}
		wait = time.Duration(f.retryMS) * time.Millisecond
		switch {
		case websocket.CloseStatus(err) == 4002 && wait > 0:
			told.Add(1)
		case errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
}

// storeCounts are what a node has read of its database.
type storeCounts struct{ pages, heads int64 }

var storeReadsLine = regexp.MustCompile(`(?m)^roomlog_store_reads_total\{cause="(\w+)"\} (\d+)$`)

func storeReads(t *testing.T, s *server) (n storeCounts) {
	t.Helper()
	found := storeReadsLine.FindAllStringSubmatch(s.text("/metrics"), -1)
	if len(found) == 0 {
		t.Fatal("no reads are counted")
	}
	for _, m := range found {
		count, err := strconv.ParseInt(m[2], 10, 64)
		must(t, err)
		if m[1] == "head" {
			n.heads += count
		} else {
			n.pages += count
		}
	}
	return n
}
