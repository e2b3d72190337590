package hub

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random runs; 0: from the clock")

func newSeed(t testing.TB) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (again: -args -seed %d)", seed, seed)
	return seed
}

// churn is one random run: writers write all the time, readers of both framings join, leave, lose their
// connection and come back to where they stood, while the tails are evicted under them.
type churn struct {
	t     *testing.T
	hub   *Hub
	store *model
	rooms []room.ID
	done  chan struct{} // closed when the writers are through
	ops   atomic.Int64
	// pruned: the rooms are pruned meanwhile.
	pruned bool
}

// TestHandOver holds JOIN-8, PAGE-6, SSE-8 and I8, I13: from replay to live nothing is lost and nothing
// comes twice, whatever the writes, the churn, the memory and the peers; and everyone converges (I9).
func TestHandOver(t *testing.T) {
	for name, budget := range map[string]int64{"no memory": 1, "tiny tails": 64 << 10, "ample": 64 << 20} {
		t.Run(name, func(t *testing.T) { handOver(t, budget) })
	}
}

func handOver(t *testing.T, budget int64) {
	seed := newSeed(t)
	m := newModel()
	m.onAppend = func(context.Context, []room.Send) fault { pauseFor(rand.N(200 * time.Microsecond)); return fault{} }
	m.onRead = func(context.Context, room.Query) error { pauseFor(rand.N(time.Millisecond)); return nil }
	c := &churn{t: t, store: m, done: make(chan struct{})}
	for i := range 3 {
		c.rooms = append(c.rooms, room.ID(fmt.Sprintf("chat:r%d", i)))
		m.grow(c.rooms[i], 100+i*300)
	}
	c.hub = newHub(t, Config{Store: m, TailBytes: budget, Workers: 3})
	var readers, writers sync.WaitGroup
	for i := range 10 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		readers.Go(func() { c.socket(rng) })
	}
	for i := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
		readers.Go(func() { c.stream(rng) })
	}
	for i := range 3 {
		rng := rand.New(rand.NewPCG(seed, uint64(200+i)))
		writers.Go(func() { c.write(rng) })
	}
	writers.Wait()
	close(c.done)
	readers.Wait()
	s := c.hub.Stats()
	t.Logf("%d reader operations, %+v", c.ops.Load(), s)
	if s.Forks != 0 {
		t.Errorf("%d forks in a history that has none", s.Forks)
	}
}

// pauseFor stands in for the time that a disk takes.
func pauseFor(d time.Duration) { time.Sleep(d) }

// write sends 400 events (150 where tests are to be short) over one connection, several under way at a time, and checks that they are
// stored in order (SEND-8).
func (c *churn) write(rng *rand.Rand) {
	conn, err := c.hub.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer conn.Detach()
	last := make(map[room.ID]*atomic.Int64)
	n := make(map[room.ID]int64)
	for _, id := range c.rooms {
		last[id] = new(atomic.Int64)
	}
	slots := make(chan struct{}, 8)
	sends := 400
	if testing.Short() {
		sends = 150
	}
	for range sends {
		id := c.rooms[rng.IntN(len(c.rooms))]
		size := 16
		if rng.IntN(50) == 0 {
			size = 10000
		}
		n[id]++
		slots <- struct{}{}
		c.hub.Submit(Submit{Send: sendOf(id, size), Conn: conn, N: n[id]}, func(o Outcome) {
			if o.Err != nil {
				c.t.Errorf("send: %v", o.Err)
			} else if before := last[id].Swap(o.Verdict.Seq); before >= o.Verdict.Seq {
				c.t.Errorf("%s: acked %d after %d", id, o.Verdict.Seq, before)
			}
			<-slots
		})
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
}

// socket is a client on a WebSocket. It keeps where it stands in each room through everything.
func (c *churn) socket(rng *rand.Rand) {
	at := make(map[room.ID]room.Position)
	for more := true; more; {
		r := newReader(c.t, c.hub, c.store, wire.WebSocket)
		r.pruned = c.pruned
		feed := c.feed(r.peer, rng.Uint64())
		more = c.talk(rng, r, at)
		r.keep(at)
		if !more {
			for _, id := range c.rooms {
				c.join(r, id, at)
			}
			c.converge(r)
		}
		feed()
		r.peer.cutOff()
		r.conn.Detach()
	}
}

// talk joins and leaves until the connection is lost (true) or the writers are through.
func (c *churn) talk(rng *rand.Rand, r *reader, at map[room.ID]room.Position) bool {
	for {
		select {
		case <-c.done:
			return false
		default:
		}
		c.ops.Add(1)
		id := c.rooms[rng.IntN(len(c.rooms))]
		switch rng.IntN(12) {
		case 0:
			return true
		case 1, 2:
			r.leave(id)
		case 3: // from the latest page
			delete(at, id)
			c.fail(r.join(c.t, Join{Room: id, Replay: -1, Limit: rng.IntN(20)}))
		case 4: // from anywhere
			p := c.store.at(id, rng.Int64N(c.store.headOf(id).Seq+1))
			c.fail(r.join(c.t, Join{Room: id, Position: p, HasPosition: true, Replay: -1}))
		default:
			c.join(r, id, at)
		}
		pauseFor(time.Duration(rng.IntN(1000)) * time.Microsecond)
	}
}

// join joins where the reader stands, or stood on an earlier connection; else at the beginning.
func (c *churn) join(r *reader, id room.ID, at map[room.ID]room.Position) {
	p, ok := r.position(id)
	if !ok {
		p = at[id]
	}
	c.fail(r.join(c.t, Join{Room: id, Position: p, HasPosition: true, Replay: -1}))
}

func (c *churn) fail(err error) {
	if err != nil {
		c.t.Error(err)
	}
}

// stream is a client on a stream of all rooms. It is cut and resumes.
func (c *churn) stream(rng *rand.Rand) {
	at := make(map[room.ID]room.Position)
	for more := true; more; {
		r := newReader(c.t, c.hub, c.store, wire.EventStream)
		r.pruned = c.pruned
		feed := c.feed(r.peer, rng.Uint64())
		var joins []Join
		for _, id := range c.rooms[:1+rng.IntN(len(c.rooms))] {
			p, ok := at[id]
			joins = append(joins, Join{Room: id, Position: p, HasPosition: ok, Replay: -1})
		}
		c.fail(r.follow(c.t, joins))
		select {
		case <-c.done:
			more = false
			c.converge(r)
		case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
		}
		c.ops.Add(1)
		r.keep(at)
		feed()
		r.peer.cutOff()
		r.conn.Detach()
	}
}

// converge waits until the reader stands at the head of every room it has a cursor in (I9).
func (c *churn) converge(r *reader) {
	err := r.peer.await("the heads", func() bool {
		if len(r.asked) > 0 || len(r.at) == 0 {
			return false
		}
		for id, p := range r.at {
			if p != c.store.headOf(id).Position() {
				return false
			}
		}
		return true
	})
	if err != nil {
		c.t.Error(err)
	}
}

// keep copies where the reader stands.
func (r *reader) keep(at map[room.ID]room.Position) {
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	maps.Copy(at, r.at)
}

// feed lets a peer take bytes by fits and starts, and returns what ends that; from then on the peer
// takes everything.
func (c *churn) feed(p *peer, seed uint64) (end func()) {
	rng := rand.New(rand.NewPCG(seed, 1))
	if rng.IntN(3) == 0 {
		return func() {}
	}
	stop := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		defer p.give(-1)
		for {
			select {
			case <-stop:
				return
			case <-c.done:
				return
			case <-time.After(time.Duration(rng.IntN(2000)) * time.Microsecond):
				p.give(rng.IntN(20000))
			}
		}
	})
	return func() { close(stop); ended.Wait() }
}
