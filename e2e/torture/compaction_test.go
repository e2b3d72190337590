package torture

import (
	"database/sql"
	"encoding/base64"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	compactedRoom = "pad:compacted"
	compactAt     = 1 << 20 // bytes of updates of a room that are not compacted: the next one has them compacted (docs.Config)
	volley        = 8       // updates that are sent at once when that is due
	volleys       = 6       // that are cut off by a kill, at most
	typists       = 4
)

// A server that is killed while it compacts documents, which others write at that moment: each time it is back they have all that was acked, and
// in the end they are, to npm Yjs, what was sent and nothing else (I16, DOC-5).
func TestKillWhileCompacting(t *testing.T) {
	c := startCompaction(t)
	c.fill()
	began := time.Now()
	c.send(c.deal(volley), true) // one of them has the others compacted, and those of its document wait for it
	lasts := time.Since(began)
	if c.through() == 0 {
		t.Fatalf("after %d updates nothing is compacted", len(c.acked))
	}
	before, behind := 0, 0
	sooner, later := time.Duration(0), 3*lasts // between them is the end of a compaction, as far as is known: kills close in on it
	for kills := 0; kills < 3 || kills < volleys && time.Since(began) < 4*time.Second && len(c.deck) > 200; kills++ {
		c.fill()
		was := c.through()
		at := sooner + time.Duration(c.rng.Int64N(int64(later-sooner)))
		c.killIn(at)
		if c.through() > was {
			behind, later = behind+1, at
		} else {
			before, sooner = before+1, at
		}
		if later-sooner < lasts/8 { // it is not the same each time
			sooner, later = max(0, sooner-lasts/4), later+lasts/4
		}
		c.check()
	}
	c.fill()
	was := c.through()
	c.send(c.deal(max(volley, len(c.open))), true)
	if through := c.through(); through <= was {
		t.Errorf("more was due, and the documents are compacted as far as %d still", through)
	}
	c.check()
	t.Logf("%d updates were sent; a compaction under load took %v; of the kills %d came before its end, %d behind it", len(c.acked), lasts, before, behind)
	if err := c.node.stop(); err != nil {
		t.Error(err)
	}
	if faults, err := c.node.faults(); err != nil || len(faults) > 0 {
		t.Errorf("the server's log has %q: %v", faults, err)
	}
}

// compaction is a server on SQLite, and the documents that are written there.
type compaction struct {
	t      *testing.T
	rng    *rand.Rand
	node   *node
	db     *sql.DB // reads beside the server
	yjs    *yjsReference
	sheets []*sheet
	client *http.Client
	token  string

	deck  []card
	mu    sync.Mutex
	acked []card // begun, in the order in which they were answered
	open  []card // sent, and without an answer
}

func startCompaction(t *testing.T) *compaction {
	seed := *seedFlag
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("seed %d (run again with -run %s -seed %d)", seed, t.Name(), seed)
	c := &compaction{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 5)), client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: typists}}}
	fatal := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	c.yjs, err = startYjs()
	fatal(err)
	t.Cleanup(func() {
		if err := c.yjs.close(); err != nil {
			t.Error(err)
		}
	})
	c.sheets, err = writeSheets(c.yjs, c.rng, 10, 0)
	fatal(err)
	long := c.sheets[10]
	fatal(c.yjs.ask(map[string]int{"pasted": 1 + c.rng.IntN(1<<30)}, &long.updates))
	for _, s := range slices.Backward(c.sheets) { // what is pasted in its order, the small ones between
		for i := range s.updates {
			at := len(c.deck)
			if s != long {
				at = c.rng.IntN(len(c.deck) + 1)
			}
			c.deck = slices.Insert(c.deck, at, card{s, i, newTag()})
		}
	}
	dir := t.TempDir()
	plain := filepath.Join(dir, "roomlog") // the race detector makes a compaction some times slower, and its kill is to be many times
	out, err := exec.Command("go", "build", "-o", plain, "roomlog/cmd/roomlog").CombinedOutput()
	if err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	c.node, err = newNode(plain, dir, "sqlite")
	fatal(err)
	fatal(c.node.start(t.Context()))
	t.Cleanup(func() { _ = c.node.kill() }) // unless stopped by then
	c.token, err = c.node.token("typist")
	fatal(err)
	file := url.URL{Scheme: "file", Path: filepath.Join(dir, "roomlog.db"), RawQuery: "mode=ro"}
	c.db, err = sql.Open("sqlite", file.String())
	fatal(err)
	t.Cleanup(func() { _ = c.db.Close() })
	return c
}

// fill has so much stored that the next update has it compacted: of the updates that make it so much, the last is sent alone.
func (c *compaction) fill() {
	c.t.Helper()
	for left := compactAt - c.pending(); left > 0 && !c.t.Failed(); left = compactAt - c.pending() {
		var cards []card
		for left > 0 {
			next := c.deal(1)[0]
			left -= int64(base64.StdEncoding.EncodedLen(len(next.of.updates[next.n]))) + 30 // as data has it
			cards = append(cards, next)
		}
		c.send(cards[:len(cards)-1], true)
		c.send(cards[len(cards)-1:], true)
	}
}

// deal gives updates that are to be sent: those again that were not answered, with the tag that they had, and then others.
func (c *compaction) deal(n int) []card {
	c.t.Helper()
	again := min(n, len(c.open))
	cards := slices.Clone(c.open[:again])
	c.open = c.open[again:]
	if n -= again; n > len(c.deck) {
		c.t.Fatalf("there are no %d updates more", n)
	}
	cards = append(cards, c.deck[:n]...)
	c.deck = c.deck[n:]
	for _, card := range cards {
		card.of.begun[card.n] = true
	}
	return cards
}

// killIn sends a volley, and kills the server so long after its beginning.
func (c *compaction) killIn(d time.Duration) {
	c.t.Helper()
	killed := make(chan error, 1)
	cards := c.deal(volley)
	time.AfterFunc(d, func() { killed <- c.node.kill() })
	c.send(cards, false)
	if err := <-killed; err != nil {
		c.t.Fatal(err)
	}
	c.client.CloseIdleConnections()
	if err := c.node.start(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// send sends each. What is not answered is sent again where the server is whole, and is open where it is killed.
func (c *compaction) send(cards []card, whole bool) {
	left := make(chan card, len(cards))
	for _, card := range cards {
		left <- card
	}
	close(left)
	var typing sync.WaitGroup
	for range typists {
		typing.Go(func() {
			for card := range left {
				a, err := c.attempt(card)
				for over := time.Now().Add(settle); whole && (err != nil || a.Retryable) && time.Now().Before(over); a, err = c.attempt(card) {
					wait(c.t.Context(), 50*time.Millisecond)
				}
				c.mu.Lock()
				switch {
				case err == nil && a.Code == "":
					c.acked = append(c.acked, card)
				case err == nil && !a.Retryable || whole:
					c.t.Errorf("an update is not taken: %s %s: %v", a.Code, a.Title, err)
				default:
					c.open = append(c.open, card)
				}
				c.mu.Unlock()
			}
		})
	}
	typing.Wait()
}

func (c *compaction) attempt(of card) (a setAnswer, err error) {
	path := "http://" + c.node.addr + "/v1/rooms/" + compactedRoom + "/docs/" + of.of.name
	err = ask(c.t.Context(), c.client, http.MethodPost, path, c.token, of.of.updates[of.n], &a, "Content-Type", "application/octet-stream", "Idempotency-Key", of.tag)
	return a, err
}

// check has npm Yjs say that each document has all that was acked: that adds nothing to it. Where nothing is open, it is what was sent, and no more.
func (c *compaction) check() {
	c.t.Helper()
	for _, s := range c.sheets {
		var doc []byte
		if err := ask(c.t.Context(), c.client, http.MethodGet, "http://"+c.node.addr+"/v1/rooms/"+compactedRoom+"/docs/"+s.name, c.token, nil, &doc); err != nil {
			c.t.Fatal(err)
		}
		updates := [][]byte{}
		if len(c.open) > 0 {
			updates = append(updates, doc)
		}
		for _, card := range c.acked {
			if card.of == s {
				updates = append(updates, s.updates[card.n])
			}
		}
		faults, err := c.yjs.unlike(updates, [][][]byte{{doc}})
		if err != nil {
			c.t.Fatal(err)
		}
		if faults[0] != "" {
			c.t.Errorf("I16: the document %s is not that of the %d updates that were acked, and %d are open: %.600s", s.name, len(updates), len(c.open), faults[0])
		}
	}
}

// through is the seq as far as the documents are compacted; pending are the bytes of data that are stored behind it.
func (c *compaction) through() int64 {
	c.t.Helper()
	return c.count("select coalesce(max(d.through), 0) from doc_rooms d join rooms r on r.id = d.room where r.name = ?")
}

func (c *compaction) pending() int64 {
	c.t.Helper()
	return c.count("select coalesce(sum(length(e.data)), 0) from events e join rooms r on r.id = e.room where r.name = ? and e.seq > coalesce((select through from doc_rooms d where d.room = r.id), 0)")
}

func (c *compaction) count(query string) (n int64) {
	c.t.Helper()
	if err := c.db.QueryRowContext(c.t.Context(), query, compactedRoom).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}
