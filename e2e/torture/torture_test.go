package torture

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"roomlog/chaos"
	"roomlog/history"
	"roomlog/server/store/postgres/pgtest"
)

var (
	seedFlag = flag.Int64("seed", number("TORTURE_SEED"), "seed of the run; 0 draws one (TORTURE_SEED)")
	lasting  = flag.Duration("for", duration("TORTURE", 12*time.Second), "how long faults go on (TORTURE)")
	keep     = flag.String("keep", "", "folder in which the histories and the servers' logs are kept")
)

const (
	rooms     = 10
	writers   = 30
	followers = 40
	proxies   = 8
	guests    = 10 // with tokens that run out
	strayers  = 6  // with grants of their own
	outlaws   = 6  // without access now and then
	// settle bounds how long the run may take to come to rest once nothing is broken any more.
	settle = 60 * time.Second
)

// required are the invariants that a run must have put to the test (RELIABILITY, rule ids ACK-1, TAG-6,
// SEND-7, SEND-8, PAGE-6, JOIN-8, ROOM-3, ROOM-5, ROOM-7, SSE-8, POLL-4, ACK-8, AUTH-5, AUTH-9).
var required = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I13", "I17", "I18", "I19", "I25", "I27"}

var binary string

// number and duration read a knob from the environment, where `go test` passes no flags through.
func number(name string) (n int64) {
	if text := os.Getenv(name); text != "" {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			panic(fmt.Sprintf("%s: %v", name, err))
		}
	}
	return n
}

func duration(name string, otherwise time.Duration) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return d
}

func TestMain(m *testing.M) {
	if text := os.Getenv(planVariable); text != "" {
		var plan outsiderPlan
		err := json.Unmarshal([]byte(text), &plan)
		if err == nil {
			err = plan.follow()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "outsiders:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if text := os.Getenv(visitorVariable); text != "" {
		var v visitor
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			panic(err)
		}
		v.be()
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "roomlog-torture-")
	if err == nil {
		binary = filepath.Join(dir, "roomlog")
		build := exec.Command("go", "build", "-race", "-o", binary, "roomlog/cmd/roomlog")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "build the server:", err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func TestSQLite(t *testing.T) { torture(t, nil) }

func TestPostgres(t *testing.T) {
	db, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	torture(t, db)
}

// run is one seeded run: a node, proxies before it, clients of every transport behind them.
type run struct {
	t       *testing.T
	rng     *rand.Rand
	node    *node
	db      *pgtest.Server // nil on SQLite
	proxies []*chaos.Proxy
	rec     *recorder
	file    string
	others  []string // histories of other processes

	followers []*follower
	writers   []*writer
	wanderers []*wanderer
	outcasts  []*follower
	outsiders *outsiders
	rooms     []string // all that are written
}

func torture(t *testing.T, db *pgtest.Server) {
	seed := *seedFlag
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("seed %d (run again with -run %s -seed %d)", seed, t.Name(), seed)
	r := setUp(t, db, seed)
	clients, stopClients := context.WithCancel(t.Context())
	defer stopClients()
	stopWriting := make(chan struct{})
	var following, writing, watching sync.WaitGroup
	for _, f := range r.followers {
		following.Go(func() { f.run(clients) })
	}
	for _, w := range r.writers {
		writing.Go(func() { w.run(clients, stopWriting) })
	}
	for _, w := range r.wanderers {
		following.Go(func() { w.run(clients) })
	}
	watch, stopWatch := context.WithCancel(t.Context())
	watching.Go(func() { r.watch(watch) })

	warded, dice := make(chan error, 1), r.draw()
	go func() { warded <- r.ward(watch, dice) }()

	r.breakThings(t.Context())
	r.heal(t.Context())
	close(stopWriting)
	r.await("writers have their answers", &writing)
	stopWatch()
	watching.Wait()
	if err := <-warded; err != nil {
		t.Error(err)
	}
	r.rec.Add(history.Line{Op: history.OpQuiet, Client: "judge"})
	heads := r.awaitHeads()
	if err := r.outsiders.finish(heads); err != nil {
		t.Errorf("the clients of another process: %v", err)
	}
	stopClients()
	following.Wait()
	r.readFinal()
	r.searchSecrets()
	if err := r.node.stop(); err != nil {
		t.Error(err)
	}
	if err := r.rec.Close(); err != nil {
		t.Fatal(err)
	}
	r.judge(required...)
}

func setUp(t *testing.T, db *pgtest.Server, seed int64) *run {
	dir := t.TempDir()
	if *keep != "" {
		var err error
		if dir, err = os.MkdirTemp(*keep, t.Name()+"-"); err != nil {
			t.Fatal(err)
		}
		t.Log("kept in", dir)
	}
	store := "sqlite"
	if db != nil {
		store = db.DSN("")
	}
	n, err := newNode(binary, dir, store)
	if err != nil {
		t.Fatal(err)
	}
	n.args = []string{"--log-level", "debug"} // what it says most of holds no secret either (I27)
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.kill() }) // unless stopped by then
	r := &run{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 1)), node: n, db: db, file: filepath.Join(dir, "history.jsonl")}
	for i := range rooms {
		r.rooms = append(r.rooms, roomName(i))
	}
	if r.rec, err = newRecorder(r.file); err != nil {
		t.Fatal(err)
	}
	for range proxies {
		p, err := chaos.Listen("127.0.0.1:0", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		r.proxies = append(r.proxies, p)
	}
	r.cast()
	return r
}

func (r *run) cast() {
	token := func(user string) string {
		token, err := r.node.token(user)
		if err != nil {
			r.t.Fatal(err)
		}
		return token
	}
	for i := range followers {
		name := fmt.Sprintf("reader-%d", i)
		r.followers = append(r.followers, &follower{
			name: name, transport: []string{"ws", "sse", "poll"}[i%3], room: roomName(i % rooms),
			base: r.proxies[i%proxies].Addr().String(), token: token(name), rec: r.rec, rng: r.draw(), position: "0",
		})
	}
	for i := range writers {
		name := fmt.Sprintf("writer-%d", i)
		r.writers = append(r.writers, &writer{
			// Each room has writers of both transports.
			name: name, transport: []string{"ws", "http"}[(i+i/rooms)%2], room: roomName(i % rooms),
			base: r.base(), token: token(name), rec: r.rec, rng: r.draw(),
		})
	}
	if err := errors.Join(r.lodgers(guests), r.castOutcasts(outlaws), r.isolate(strayers)); err != nil {
		r.t.Fatal(err)
	}
	r.outsiders = &outsiders{plan: outsiderPlan{
		File: r.file + ".outside", Base: r.base(), Token: token("outsider"), Name: "outsider",
		Rooms: []string{roomName(0), roomName(1), roomName(2)}, Seed: r.rng.Uint64(),
	}}
	r.others = append(r.others, r.outsiders.plan.File)
	if err := r.outsiders.start(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) draw() *rand.Rand { return rand.New(rand.NewPCG(r.rng.Uint64(), 2)) }

func (r *run) base() string { return r.proxies[r.rng.IntN(proxies)].Addr().String() }

func roomName(i int) string { return fmt.Sprintf("chat:torture-%d", i) }

// breakThings breaks one thing after the other until the time is over. The faults are dealt from a deck,
// shuffled anew each time, so that no seed is spared one of them.
func (r *run) breakThings(ctx context.Context) {
	deck := []string{"cut", "cut-after", "cut-after", "cut-after", "black hole", "delay", "kill -9 the node",
		"SIGTERM to the node", "pause the node", "pause the outsiders", "kill -9 the outsiders"}
	if r.db != nil {
		deck = append(deck, "stop the database at once")
	}
	dealt := make(map[string]int)
	over, atLast := time.Now().Add(*lasting), time.Now().Add(*lasting+5*settle)
	for turn := 0; turn < len(deck) || time.Now().Before(over) || !r.rec.worked() && time.Now().Before(atLast); turn++ {
		if turn%len(deck) == 0 {
			r.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		wait(ctx, time.Duration(50+r.rng.IntN(400))*time.Millisecond)
		fault := deck[turn%len(deck)]
		r.breakOne(ctx, fault)
		dealt[fault]++
	}
	r.t.Logf("broken: %v", dealt)
}

// breakOne does one fault of the deck, to a proxy of its choice.
func (r *run) breakOne(ctx context.Context, fault string) {
	p := r.proxies[r.rng.IntN(len(r.proxies))]
	var err error
	switch fault {
	case "cut":
		p.CutAll()
	case "cut-after":
		r.set(p, chaos.Fault{
			Kind: chaos.CutAfter, Bytes: int64(r.rng.IntN(4000)), Times: int64(1 + r.rng.IntN(4)),
			Direction: []chaos.Direction{"", chaos.Up, chaos.Down}[r.rng.IntN(3)],
		})
	case "black hole":
		r.set(p, chaos.Fault{Kind: chaos.Blackhole})
		wait(ctx, time.Duration(200+r.rng.IntN(800))*time.Millisecond)
		p.Heal()
	case "delay":
		r.set(p, chaos.Fault{Kind: chaos.Delay, Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond})
	case "kill -9 the node":
		r.killNode(ctx)
	case "stop the database at once":
		r.stopDatabase(ctx)
	case "SIGTERM to the node":
		err = r.stopNode(ctx)
	case "pause the node":
		err = r.node.pause(ctx, time.Duration(200+r.rng.IntN(1000))*time.Millisecond)
	case "pause the outsiders":
		err = r.outsiders.pause(ctx, time.Duration(200+r.rng.IntN(1000))*time.Millisecond)
	case "kill -9 the outsiders":
		err = r.outsiders.kill()
	default:
		r.t.Fatalf("no fault is named %q", fault)
	}
	if err != nil {
		r.t.Fatalf("%s: %v", fault, err)
	}
}

func (r *run) set(p *chaos.Proxy, f chaos.Fault) {
	if err := p.Set(f); err != nil {
		r.t.Fatal(err)
	}
}

// stopDatabase stops the database as a crash would (-m immediate), and starts it again.
func (r *run) stopDatabase(ctx context.Context) {
	if err := r.db.Stop(pgtest.Immediate); err != nil {
		r.t.Fatal(err)
	}
	wait(ctx, time.Duration(r.rng.IntN(2500))*time.Millisecond)
	if err := r.db.Restart(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// killNode kills the node and starts it again.
func (r *run) killNode(ctx context.Context) {
	if err := r.node.kill(); err != nil {
		r.t.Error(err)
	}
	wait(ctx, time.Duration(r.rng.IntN(500))*time.Millisecond)
	if err := r.node.start(ctx); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) heal(ctx context.Context) {
	for _, p := range r.proxies {
		p.Heal()
	}
	r.t.Logf("healed after %d events delivered; cut off: %v", r.rec.total(), r.rec.notes)
}

// watch asks the database itself, again and again while the rooms are written, how many events each has:
// at no instant may there be a hole (I3).
func (r *run) watch(ctx context.Context) {
	for ctx.Err() == nil {
		_ = r.snapshot(ctx) // it may be down, or be starting
		wait(ctx, 50*time.Millisecond)
	}
}

func (r *run) await(what string, wg *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(settle):
		r.t.Fatalf("after %v it is not so that %s", settle, what)
	}
}

func (r *run) awaitHeads() map[string]int64 {
	heads := make(map[string]int64)
	for _, name := range r.rooms {
		heads[name] = r.read(name, "0", 1).Head
	}
	over := time.After(settle)
	for {
		late, moved := r.rec.behind(r.followers, heads)
		if len(late) == 0 {
			return heads
		}
		select {
		case <-moved:
		case <-over:
			for _, f := range late {
				r.t.Errorf("%s over %s stands at %d of %d in %s", f.name, f.transport, r.rec.at(f), heads[f.room], f.room)
			}
			return heads
		}
	}
}
