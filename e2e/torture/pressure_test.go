package torture

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"roomlog/history"
)

const (
	stalledReaders = 60
	garbageConns   = 400
	pollEvery      = 20 * time.Millisecond
	// pressurePad makes events of 48 KiB: what the readers below do not take is far more than the kernel keeps for them.
	pressurePad = 48 << 10
	// pressureBound is by how much the heap may grow: the tails (64 MiB), as much again before it is collected, and
	// 1 MiB for each reader that takes nothing. A queue for each of them would be four times that.
	pressureBound = 2*64<<20 + stalledReaders<<20
)

// Readers that take nothing and strangers that send garbage, while others talk: memory stays bounded (I20, BEAT-4),
// nobody else is harmed, and once they are gone nothing of them is left (I26); nor is anything of it in a log (I27).
func TestPressure(t *testing.T) {
	r := alone(t, "--log-level", "debug")
	rng := r.rng
	for i := range 3 {
		name := fmt.Sprintf("reader-%d", i)
		r.followers = append(r.followers, r.reader(name, []string{"ws", "sse", "poll"}[i], roomName(0)))
	}
	for i := range 2 {
		w := r.sender(fmt.Sprintf("writer-%d", i), "http", roomName(0))
		w.pad = pressurePad
		r.writers = append(r.writers, w)
	}
	r.talk(2 * time.Second / 10) // so that the first measure has what every run has
	before := r.measure()

	clients, stopClients := context.WithCancel(t.Context())
	defer stopClients()
	var following, writing, bothering sync.WaitGroup
	for _, f := range r.followers {
		following.Go(func() { f.run(clients) })
	}
	stopWriting := make(chan struct{})
	for _, w := range r.writers {
		writing.Go(func() { w.run(clients, stopWriting) })
	}
	var stalled []*websocket.Conn
	for i := range stalledReaders {
		stalled = append(stalled, r.stall(fmt.Sprintf("stalled-%d", i)))
	}
	var garbage atomic.Int64
	bothering.Go(func() {
		for garbage.Load() < garbageConns {
			r.bother(rng)
			garbage.Add(1)
		}
	})
	var most int64
	for garbage.Load() < garbageConns || r.read(roomName(0), "0", 1).Head < 250 {
		most = max(most, r.measure()["go_memstats_heap_inuse_bytes"])
		if resp, err := http.Get("http://" + r.node.addr + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("after %d connections of garbage the server does not answer: %v", garbage.Load(), err)
		} else {
			resp.Body.Close()
		}
		wait(t.Context(), 50*time.Millisecond)
		if t.Context().Err() != nil {
			t.Fatal("the load never came to its end")
		}
	}
	r.gauge("I20", "growth of the heap in bytes", most-before["go_memstats_heap_inuse_bytes"], pressureBound)
	close(stopWriting)
	bothering.Wait()
	r.await("writers have their answers", &writing)
	for _, c := range stalled {
		c.CloseNow()
	}
	r.rec.Add(history.Line{Op: history.OpQuiet, Client: "judge"})
	r.awaitHeads()
	stopClients()
	following.Wait()
	r.readFinal()
	after := r.settled(before)
	for _, name := range []string{goroutines, "process_open_fds"} {
		r.gauge("I26", name, after[name], allowed(before, name))
	}
	r.searchSecrets()
	r.search("the server's log", r.log(), map[string][]byte{"a token that was refused": []byte(canaryToken)})
	if err := r.node.stop(); err != nil {
		t.Error(err)
	}
	if err := r.rec.Close(); err != nil {
		t.Fatal(err)
	}
	r.judge("I1", "I2", "I4", "I8", "I9", "I20", "I26", "I27")
}

// canaryToken is in every token that is no good.
const canaryToken = "canary-token-7d793037a076"

// leftovers is by how many a count may be off that is taken while the process lives on: a keep-alive, a timer.
// Of goroutines there may be those besides that the server keeps for the next chore: as many as were busy at once, 16 at
// most (handsIdle in server/transport), and at the first measure there had been work for few.
const (
	leftovers  = 8
	handsIdle  = 16
	goroutines = "go_goroutines"
)

// alone is a run of one node on SQLite without proxies and faults; its clients are for the test to cast.
func alone(t *testing.T, args ...string) *run {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("seed %d (run again with -run %s -seed %d)", seed, t.Name(), seed)
	dir := t.TempDir()
	n, err := newNode(binary, dir, "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	n.args = args
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.kill() }) // unless stopped by then
	r := &run{
		t: t, rng: rand.New(rand.NewPCG(uint64(seed), 1)), node: n, file: filepath.Join(dir, "history.jsonl"),
		rooms: []string{roomName(0)},
	}
	if r.rec, err = newRecorder(r.file); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *run) reader(name, transport, room string) *follower {
	return &follower{
		name: name, transport: transport, room: room, base: r.node.addr, token: r.token(name), rec: r.rec, rng: r.draw(), position: "0",
	}
}

func (r *run) sender(name, transport, room string) *writer {
	return &writer{name: name, transport: transport, room: room, base: r.node.addr, token: r.token(name), rec: r.rec, rng: r.draw()}
}

func (r *run) token(user string) string {
	token, err := r.node.token(user)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// talk has the run's clients work for a moment and waits until they are at rest.
func (r *run) talk(d time.Duration) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	stop := make(chan struct{})
	var following, writing sync.WaitGroup
	for _, f := range r.followers {
		following.Go(func() { f.run(ctx) })
	}
	for _, w := range r.writers {
		writing.Go(func() { w.run(ctx, stop) })
	}
	wait(ctx, d)
	close(stop)
	r.await("writers have their answers", &writing)
	r.awaitHeads()
	cancel()
	following.Wait()
}

func (r *run) gauge(invariant, what string, count, most int64) {
	r.t.Logf("%s: %s: %d, at most %d", invariant, what, count, most)
	r.rec.Add(history.Line{Op: history.OpGauge, Client: "judge", Code: invariant, Reason: what, Count: count, Max: most})
}

// measure reads what the process says of itself.
func (r *run) measure() map[string]int64 {
	found := map[string]int64{}
	for lines := bufio.NewScanner(bytes.NewReader(r.metrics())); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "go_goroutines", "process_open_fds", "go_memstats_heap_inuse_bytes":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			found[name] = int64(v)
		}
	}
	if len(found) != 3 {
		r.t.Fatalf("the metrics have only %v", found)
	}
	return found
}

// allowed is how much may be left of what was there before.
func allowed(before map[string]int64, name string) int64 {
	if name == goroutines {
		return before[name] + leftovers + handsIdle
	}
	return before[name] + leftovers
}

// settled measures again and again until no more is left than before, or it has had long enough.
func (r *run) settled(before map[string]int64) (now map[string]int64) {
	for over := time.Now().Add(settle); time.Now().Before(over); {
		now = r.measure()
		if now[goroutines] <= allowed(before, goroutines) && now["process_open_fds"] <= allowed(before, "process_open_fds") {
			break
		}
		wait(r.t.Context(), 100*time.Millisecond)
	}
	return now
}

// stall joins a room from its beginning and reads no more, with as small a window as the kernel gives.
func (r *run) stall(name string) *websocket.Conn {
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	conn, _, err := websocket.Dial(r.t.Context(), "ws://"+r.node.addr+"/v1/ws", &websocket.DialOptions{HTTPClient: client})
	if err == nil {
		err = writeJSON(r.t.Context(), conn, map[string]any{"op": "hello", "token": r.token(name)})
	}
	if err == nil {
		err = writeJSON(r.t.Context(), conn, map[string]any{"op": "join", "id": 1, "room": roomName(0), "position": "0"})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// bother opens a connection and sends bytes that mean nothing, some of them behind a beginning that does.
func (r *run) bother(rng *rand.Rand) {
	conn, err := net.Dial("tcp", r.node.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	beginnings := []string{
		"", "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"POST /v1/rooms/chat:a/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer " + canaryToken + "\r\n\r\n",
		"GET /v1/sse?room=chat:a&token=" + canaryToken + " HTTP/1.1\r\nHost: x\r\n", "GET /v1/rooms/", "\x16\x03\x01",
	}
	text := make([]byte, rng.IntN(3000))
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	_ = conn.SetDeadline(time.Now().Add(time.Duration(1+rng.IntN(20)) * time.Millisecond))
	_, _ = io.WriteString(conn, beginnings[rng.IntN(len(beginnings))])
	_, _ = conn.Write(text)
	_, _ = io.Copy(io.Discard, conn)
}
