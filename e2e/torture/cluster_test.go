package torture

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/chaos"
	"roomlog/history"
	"roomlog/server/store/postgres/pgtest"
)

var (
	clusterFor = flag.Duration("cluster-for", duration("TORTURE_CLUSTER", 0), "how long faults of a cluster go on, at least until each was dealt once (TORTURE_CLUSTER)")
	faultsFlag = flag.String("faults", os.Getenv("TORTURE_FAULTS"), "the faults of a cluster that are dealt, with commas between; some by default, all with -cluster-for (TORTURE_FAULTS)")
	pauseFlag  = flag.Duration("pause", duration("TORTURE_PAUSE", 4*time.Second), "how long a node is stopped by SIGSTOP (TORTURE_PAUSE)")
)

const (
	clusterNodes     = 3
	clusterRooms     = 20
	clusterWriters   = 50
	clusterFollowers = 60
	clusterOutcasts  = 6

	// clusterPace is between the messages of one writer: what two cores carry, with three nodes under the race detector.
	clusterPace = 200 * time.Millisecond
	// pauseLimit is what a node takes for a pause of its own, after which it begins anew: less than a pause here lasts, and
	// than what a revocation may take.
	pauseLimit = 2 * time.Second
	// late is the most that a message of the bus is late by.
	late = 300 * time.Millisecond

	// What is asserted leaves a busy machine of two cores room; what was reached stands in the table. The design says
	// 2 s for the tail, 1 s for a revocation and for a room while the bus is down.
	tailBound   = 10 * time.Second
	revokeBound = 3 * time.Second
	busBound    = 4 * time.Second
	refuseBound = 5 * time.Second
)

// alwaysInACluster are the invariants that every run of a cluster puts to the test; some faults add their own.
var alwaysInACluster = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I13", "I17"}

// Three real nodes, PostgreSQL and Redis, while everything that can break breaks (I1 to I11, I13, I17, I25, I29).
func TestClusterOverRedis(t *testing.T) { tortureCluster(t, "redis", shortDeck) }

// The same over NATS, with the faults that are about the bus.
func TestClusterOverNATS(t *testing.T) {
	tortureCluster(t, "nats", []string{"messages", "bus"})
}

func tortureCluster(t *testing.T, bus string, deck []string) {
	switch {
	case *faultsFlag != "":
		deck = strings.Split(*faultsFlag, ",")
	case *clusterFor > 0:
		deck = slices.Sorted(maps.Keys(faultsOfClusters))
	}
	seed := *seedFlag
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("seed %d (run again with -run %s -seed %d)", seed, t.Name(), seed)
	c := &cluster{binary: binary, dir: keptDir(t), seed: seed, deck: deck, logf: t.Logf}
	if err := c.run(t.Context(), bus, *clusterFor); err != nil {
		t.Fatal(err)
	}
	for _, problem := range c.problems {
		t.Error(problem)
	}
	if required := c.required(); !c.verdict.OK(required...) {
		t.Errorf("the history does not hold: violated %v, or not all of %v exercised", c.verdict.Failed(), required)
	}
}

// keptDir is a folder of this run. It stays where the run fails, or -keep names a place for it.
func keptDir(t *testing.T) string {
	dir, err := os.MkdirTemp(*keep, strings.ReplaceAll(t.Name(), "/", "-")+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if *keep != "" || t.Failed() {
			t.Log("the histories and the servers' logs are kept in", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// cluster is a seeded run of three nodes on one database and one bus, each node behind a proxy of its own to the bus.
type cluster struct {
	binary string
	env    []string // of the nodes
	dir    string
	seed   int64
	deck   []string
	logf   func(string, ...any)

	began time.Time
	rng   *rand.Rand
	bus   busServer
	db    *pgtest.Server
	key   []byte
	nodes []*node
	lines []*chaos.Broker // of the nodes, to the bus
	rec   *recorder
	file  string

	followers []*follower
	writers   []*writer
	outcasts  []*follower
	rooms     []string
	changes   changes
	people    people
	streaming streaming
	sniffer   *sniffer
	shared    shared

	dealt    map[string]int
	mended   []time.Duration // how long each lost last hint was missing
	woken    []time.Duration // from the return of the database to the next ack
	problems []string        // what is wrong beside the history
	verdict  history.Verdict
}

// required are the invariants that the faults of the deck put to the test.
func (c *cluster) required() []string {
	required := slices.Clone(alwaysInACluster)
	for fault, name := range map[string]string{"roll": "I25", "bus": "I29", "database": "I29", "epoch": "I11"} {
		if c.dealt[fault] > 0 {
			required = append(required, name)
		}
	}
	return required
}

func (c *cluster) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// run starts everything, breaks things for as long as it is told, heals them, and judges the history. An error says
// that the run itself failed.
func (c *cluster) run(ctx context.Context, bus string, lasting time.Duration) (err error) {
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.setUp(ctx, bus); err != nil {
		return err
	}
	clients, stopClients := context.WithCancel(ctx)
	defer stopClients()
	stopWriting := make(chan struct{})
	var following, writing, watching sync.WaitGroup
	defer following.Wait()
	defer stopClients()
	for _, f := range c.followers {
		following.Go(func() { f.run(clients) })
	}
	for _, w := range c.writers {
		writing.Go(func() { w.run(clients, stopWriting) })
	}
	there, leave := context.WithCancel(clients)
	var present sync.WaitGroup
	defer present.Wait()
	defer leave()
	c.startPeople(there, &present)
	c.startOutsider(there, &present)
	c.startChanges(clients, stopWriting, &following, &writing)
	c.startShared(clients, stopWriting, &following, &writing)
	stopTelling := c.startStreams(clients, &following)
	defer func() { stopClients(); stopTelling() }()
	watch, stopWatch := context.WithCancel(ctx)
	defer watching.Wait()
	defer stopWatch()
	watching.Go(func() { c.watch(watch) })
	wardens, err := c.wardens()
	if err != nil {
		return err
	}
	warded := make(chan error, len(wardens))
	for _, w := range wardens {
		watching.Go(func() { warded <- w.run(watch) })
	}

	if err := c.breakThings(ctx, lasting); err != nil {
		return err
	}
	stopWatch()
	watching.Wait()
	close(warded)
	for err := range warded {
		if err != nil {
			c.problem("a warden: %v", err)
		}
	}
	stopTelling()
	began := time.Now()
	if err := c.comeAndGo(ctx); err != nil {
		return err
	}
	c.streaming.troubled = append(c.streaming.troubled, span{began, time.Now()})
	leave()
	present.Wait()
	c.judgeOutsider()
	if err := c.judgeStreams(ctx); err != nil {
		return err
	}
	if err := c.fallSilent(ctx, stopWriting, &writing); err != nil {
		return err
	}
	c.awaitHeads(ctx)
	c.awaitKeepers(ctx)
	c.awaitShared(ctx)
	c.judgeChanges(ctx)
	stopClients()
	following.Wait()
	if err := c.judgeShared(ctx); err != nil {
		return err
	}
	if err := c.readFinal(ctx); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := n.stop(); err != nil {
			c.problem("node %s: %v", n.name, err)
		}
	}
	return c.judge()
}

// fallSilent heals everything but the last hint of each room, which no node is given (RELIABILITY I9), and ends the writing.
func (c *cluster) fallSilent(ctx context.Context, stopWriting chan struct{}, writing *sync.WaitGroup) error {
	for _, l := range c.lines {
		l.Heal()
		l.KeepLast("room:")
	}
	wait(ctx, time.Second)
	close(stopWriting)
	done := make(chan struct{})
	go func() {
		writing.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(settle):
		return fmt.Errorf("after %v not all writers have their answers", settle)
	}
	dropped := 0
	for _, l := range c.lines {
		dropped += l.DropKept()
	}
	c.rec.Add(history.Line{Op: history.OpQuiet, Client: "judge", Max: int64(tailBound)})
	c.logf("silent after %d events delivered; the last hints of rooms, %d, were dropped\ncut off: %v\nsends refused: %v", c.rec.total(), dropped, c.rec.notes, c.rec.words)
	if dropped == 0 {
		c.problem("no last hint was dropped: the bus carries nothing")
	}
	return nil
}

// judge has the history checked, and looks for what no history tells.
func (c *cluster) judge() error {
	err := c.rec.Close()
	if err == nil {
		c.verdict, err = history.Check([]string{c.file})
	}
	var table bytes.Buffer
	if err = errors.Join(err, c.verdict.Table(&table)); err != nil {
		return err
	}
	var counts chaos.Counts
	for _, l := range c.lines {
		n := l.Counts()
		counts.Passed += n.Passed
		counts.Dropped += n.Dropped
		counts.Repeated += n.Repeated
		counts.Garbled += n.Garbled
		counts.Late += n.Late
		counts.Unread += n.Unread
	}
	c.logf("dealt: %v\nmessages of the bus: %d passed, %d dropped, %d repeated, %d garbled, %d late\na lost last hint was mended after %v; the first ack after the database returned came after %v\n%s",
		c.dealt, counts.Passed, counts.Dropped, counts.Repeated, counts.Garbled, counts.Late, c.mended, c.woken, table.String())
	if counts.Unread > 0 {
		c.problem("%d connections to the bus were not understood by the proxy", counts.Unread)
	}
	for what, times := range c.rec.violations() {
		c.problem("no fault excuses this, seen %d times: %s", times, what)
	}
	for _, n := range c.nodes {
		faults, err := n.faults()
		if err != nil || len(faults) > 0 {
			c.problem("the log of node %s has %q: %v (-keep keeps it)", n.name, faults, err)
		}
	}
	return nil
}

// close ends what is not ended yet.
func (c *cluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		if cmd, _ := n.current(); cmd != nil {
			_ = cmd.Process.Kill() // it may have ended
		}
	}
	for _, l := range c.lines {
		errs = append(errs, l.Close())
	}
	errs = append(errs, c.shared.close())
	if c.bus != nil {
		errs = append(errs, c.bus.close())
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	return errors.Join(errs...)
}

func (c *cluster) setUp(ctx context.Context, bus string) (err error) {
	c.rng = rand.New(rand.NewPCG(uint64(c.seed), 3))
	c.began = time.Now()
	c.dealt = make(map[string]int)
	c.file = filepath.Join(c.dir, "history.jsonl")
	if c.rec, err = newRecorder(c.file); err != nil {
		return err
	}
	if slices.Contains(c.deck, "epoch") {
		c.rec.mayReset = map[string]bool{"epoch": true}
	}
	if c.db, err = pgtest.Start(ctx, pgtest.Options{Settings: map[string]string{"max_connections": "200"}}); err != nil {
		return err
	}
	if c.bus, err = startBus(bus); err != nil {
		return err
	}
	if err := c.startNodes(ctx); err != nil {
		return err
	}
	return errors.Join(c.cast(), c.castChanges(), c.castPeople(), c.castStreams(), c.castOutsider(ctx), c.castShared())
}

func (c *cluster) draw() *rand.Rand { return rand.New(rand.NewPCG(c.rng.Uint64(), 4)) }
