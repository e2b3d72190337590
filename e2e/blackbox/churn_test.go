package blackbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	churnRooms = 3
	least      = 10 // that a room keeps, by any of the policies
)

// churn is rooms that are sent to, pruned, deleted, read and delivered all at once, and what all were told of them.
type churn struct {
	*server
	tokens map[string]string // by user
	done   chan struct{}

	mu    sync.Mutex
	known map[string]string // the tag at a room, epoch and seq, whoever told it
	hook  map[string]place  // by room: where the webhook stands
	seen  map[string]int    // what happened, to know that something did
}

type place struct {
	epoch string
	seq   int64
}

// told is an answer about a room: a page, a reset, a stored event, a delivery, a room.
type told struct {
	Type, Room, Epoch, Code, Reason, Position string
	Floor, Head, Prev, Seq                    int64
	Duplicate, Deleted                        bool
	Events                                    []struct {
		Seq int64
		Tag string
	}
}

// ask is a request of a user.
func (c *churn) ask(user, method, path string, body []byte) (status int, got told) {
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, got
	}
	req.Header.Set("Authorization", "Bearer "+c.tokens[user])
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
		return 0, got
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		c.t.Errorf("%s %s: %d, %v: %.200s", method, path, resp.StatusCode, err, text)
	}
	return resp.StatusCode, got
}

// one holds I4: a room, epoch and seq is one event, whoever tells of it.
func (c *churn) one(room, epoch string, seq int64, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := fmt.Sprintf("%s %s:%d", room, epoch, seq)
	if was, known := c.known[at]; known && was != tag {
		c.t.Errorf("I4: %s is %s and %s", at, was, tag)
	}
	c.known[at] = tag
}

func (c *churn) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what]++
}

func (c *churn) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func churnRoom(rnd *rand.Rand) string { return fmt.Sprintf("chat:r%d", rnd.IntN(churnRooms)) }

// write sends events and repeats of earlier ones, of which some are pruned and some of a room that is no more.
func (c *churn) write(rnd *rand.Rand, sends int) {
	type sent struct {
		room, tag, epoch string
		seq              int64
	}
	var all []sent
	for range sends {
		s, repeat := sent{room: churnRoom(rnd), tag: uuid.NewString()}, false
		if len(all) > 0 && rnd.IntN(3) == 0 {
			s, repeat = all[rnd.IntN(len(all))], true
		}
		body := fmt.Appendf(nil, `{"tag":%q,"type":"message","data":1}`, s.tag)
		status, got := c.ask("writer", "POST", "/v1/rooms/"+s.room+"/events", body)
		again := false // as clients do: a disk that others use as well may stand still for longer than a send waits (ACK-5)
		for end := time.Now().Add(patience); (got.Code == "outcome_unknown" || got.Code == "unavailable") && time.Now().Before(end); again = true {
			status, got = c.ask("writer", "POST", "/v1/rooms/"+s.room+"/events", body)
		}
		if status != http.StatusCreated && status != http.StatusOK || (status == http.StatusOK) != got.Duplicate {
			c.t.Errorf("TAG-7: a send is answered by %d %+v", status, got)
			return
		}
		if got.Duplicate {
			c.count("repeats of what is stored")
		}
		if repeat && got.Epoch == s.epoch && (got.Seq != s.seq || !got.Duplicate) {
			c.t.Errorf("TAG-7: %s of %s, %s:%d, is at its repeat %+v", s.tag, s.room, s.epoch, s.seq, got)
		}
		if !repeat && !again && got.Duplicate {
			c.t.Errorf("TAG-3: a send that is no repeat is answered by %+v", got)
		}
		c.one(s.room, got.Epoch, got.Seq, s.tag)
		s.epoch, s.seq = got.Epoch, got.Seq
		all = append(all, s)
	}
}

// read follows rooms by polling, and now and then goes back to where it was before.
func (c *churn) read(rnd *rand.Rand) {
	for !c.over() {
		room := churnRoom(rnd)
		at, position := place{}, "0"
		type been struct {
			place
			position string
		}
		var before []been
		for range 30 {
			status, got := c.ask("reader", "GET", fmt.Sprintf("/v1/rooms/%s/events?limit=%d&after=%s", room, 1+rnd.IntN(20), position), nil)
			switch {
			case status == http.StatusOK:
				if at.epoch != "" && got.Epoch != at.epoch || got.Prev != at.seq || int64(len(got.Events)) != got.Seq-got.Prev {
					c.t.Errorf("I12: after %s %s: %+v", room, position, got)
				}
				if len(got.Events) == 0 && got.Head > at.seq {
					c.t.Errorf("RET-2: after %s %s there is nothing, although the head is %d", room, position, got.Head)
				}
				for i, e := range got.Events {
					if e.Seq != got.Prev+int64(i)+1 {
						c.t.Errorf("I8: event %d of %s after %d has seq %d", i, room, got.Prev, e.Seq)
					}
					c.one(room, got.Epoch, e.Seq, e.Tag)
				}
			case status == http.StatusGone && got.Reason == "pruned":
				c.count("pruned")
				if at.epoch != "" && got.Epoch != at.epoch || at.seq >= got.Floor-1 {
					c.t.Errorf("RET-2: after %s %s: %+v", room, position, got)
				}
			case status == http.StatusGone && got.Reason == "epoch":
				c.count("epoch")
				if at.epoch == "" || got.Epoch == at.epoch {
					c.t.Errorf("RET-3: after %s %s: %+v", room, position, got)
				}
			default:
				c.t.Errorf("RET-2: after %s %s: %d %+v", room, position, status, got)
				return
			}
			if status == http.StatusGone {
				break
			}
			at, position = place{got.Epoch, got.Seq}, got.Position
			before = append(before, been{at, position})
			if rnd.IntN(4) == 0 {
				b := before[rnd.IntN(len(before))]
				at, position = b.place, b.position
			}
		}
	}
}

// ban takes access away and gives it back: nothing is told of a room in between, whatever becomes of it.
func (c *churn) ban(rnd *rand.Rand) {
	for !c.over() {
		room := churnRoom(rnd)
		for _, step := range []struct {
			method string
			open   bool
		}{{"PUT", false}, {"DELETE", true}} {
			if status, _ := c.ask("admin", step.method, "/v1/rooms/"+room+"/bans/banned", nil); status/100 != 2 {
				c.t.Errorf("%s of a ban: %d", step.method, status)
				return
			}
			for range 3 {
				status, got := c.ask("banned", "GET", "/v1/rooms/"+room, nil)
				if (status == http.StatusOK) != step.open || !step.open && (status != http.StatusNotFound || got.Code != "unknown_room" || got.Epoch != "") {
					c.t.Errorf("I17: after the %s of a ban, %s is described by %d %+v", step.method, room, status, got)
				}
			}
		}
		c.count("bans")
	}
}

// end deletes rooms; the epoch that it is told is another each time.
func (c *churn) end(rnd *rand.Rand) {
	epochs := map[string]bool{}
	for !c.over() {
		time.Sleep(time.Duration(50+rnd.IntN(150)) * time.Millisecond) // between deletions: rooms are to grow
		room := churnRoom(rnd)
		status, got := c.ask("admin", "DELETE", "/v1/rooms/"+room, nil)
		if status != http.StatusOK || got.Head != 0 || got.Floor != 1 || got.Deleted && epochs[room+got.Epoch] {
			c.t.Errorf("ROOM-10: %d %+v", status, got)
			return
		}
		if epochs[room+got.Epoch] = true; got.Deleted {
			c.count("deletions")
		}
	}
}

// take is the webhook: what it is given of a room adjoins what it has, or a reset says why not.
func (c *churn) take(w http.ResponseWriter, r *http.Request) {
	var d told
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
		return // the server was stopped
	}
	c.mu.Lock()
	at := c.hook[d.Room]
	switch {
	case d.Type == "after_append" && (at.epoch == "" || at.epoch == d.Epoch) && d.Prev == at.seq && int64(len(d.Events)) == d.Seq-d.Prev:
		c.seen["deliveries"]++
	case d.Type == "reset" && d.Reason == "pruned" && (at.epoch == "" || at.epoch == d.Epoch) && d.Seq == d.Floor-1 && at.seq < d.Seq:
		c.seen["delivered: pruned"]++
	case d.Type == "reset" && d.Reason == "epoch" && at.epoch != d.Epoch && d.Seq == d.Floor-1:
		c.seen["delivered: epoch"]++
	default:
		c.t.Errorf("HOOK-14: after %+v: %+v", at, d)
	}
	c.hook[d.Room] = place{d.Epoch, d.Seq}
	c.mu.Unlock()
	for _, e := range d.Events {
		c.one(d.Room, d.Epoch, e.Seq, e.Tag)
	}
}

// settle waits until what is kept of a room is what its policy says, and the webhook has it.
func (c *churn) settle(room string, events int64) {
	for range 600 {
		_, got := c.ask("reader", "GET", "/v1/rooms/"+room, nil)
		c.mu.Lock()
		at := c.hook[room]
		c.mu.Unlock()
		if got.Floor > max(1, got.Head-least+1) { // no policy keeps fewer
			c.t.Fatalf("RET-1: %s has the floor %d and the head %d", room, got.Floor, got.Head)
		}
		if got.Floor >= got.Head-events+1 && (got.Head == 0 || at == place{got.Epoch, got.Head}) {
			page := told{}
			_, page = c.ask("reader", "GET", fmt.Sprintf("/v1/rooms/%s/events?limit=500&after=%s:%d", room, got.Epoch, got.Floor-1), nil)
			if page.Prev != got.Floor-1 || page.Seq != got.Head || int64(len(page.Events)) != got.Head-got.Floor+1 {
				c.t.Errorf("RET-1: %s, %d to %d: %+v", room, got.Floor, got.Head, page)
			}
			return
		}
		time.Sleep(50 * time.Millisecond) // between two questions
	}
	_, got := c.ask("reader", "GET", "/v1/rooms/"+room, nil)
	c.t.Errorf("RET-1, HOOK-13: %s stays at %+v, the webhook at %+v", room, got, c.hook[room])
}

// I4, I8, I12, I17, RET-1 to RET-4, TAG-7, ROOM-10, HOOK-14, by drawn schedules: rooms are written, repeated,
// read from anywhere, pruned by a policy that changes, deleted, banned from and delivered at the same time.
func TestRoomsUnderChurn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &churn{
		tokens: map[string]string{}, done: make(chan struct{}), known: map[string]string{}, hook: map[string]place{}, seen: map[string]int{},
	}
	app := httptest.NewServer(http.HandlerFunc(c.take))
	defer app.Close()
	data := t.TempDir()
	file := filepath.Join(data, "roomlog.yaml")
	policy := func(events int) string {
		return fmt.Sprintf("{chat: {retention: {events: %d}, after_append: [{name: app, url: %q, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}]}}\n"+
			"webhook-allow: [127.0.0.1/32]", events, app.URL)
	}
	c.server = &server{t: t}
	c.configure(file, "20ms", policy(40))
	c.server = start(t, data, "--config", file, "--log-level", "warn")
	for _, user := range []string{"writer", "reader", "admin", "banned"} {
		c.tokens[user] = c.token(user)
	}
	var writers, others sync.WaitGroup
	for i := range uint64(3) {
		writers.Go(func() { c.write(rand.New(rand.NewPCG(seed, i)), 250) })
		others.Go(func() { c.read(rand.New(rand.NewPCG(seed, 10+i))) })
	}
	others.Go(func() { c.ban(rand.New(rand.NewPCG(seed, 20))) })
	others.Go(func() { c.end(rand.New(rand.NewPCG(seed, 21))) })
	others.Go(func() {
		for i := 0; !c.over(); i++ { // the policy changes back and forth
			c.configure(file, "20ms", policy(least+30*(i%2)))
			if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond) // between changes: each is to be in force for a while
		}
	})
	writers.Wait()
	close(c.done)
	others.Wait()
	c.configure(file, "20ms", policy(15))
	must(t, c.cmd.Process.Signal(syscall.SIGHUP))
	for i := range churnRooms {
		room := fmt.Sprintf("chat:r%d", i)
		c.ask("writer", "POST", "/v1/rooms/"+room+"/events", fmt.Appendf(nil, `{"tag":%q,"type":"message","data":1}`, uuid.NewString()))
		c.settle(room, 15)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var idle []string
	for _, what := range []string{"repeats of what is stored", "pruned", "epoch", "bans", "deletions", "deliveries", "delivered: epoch"} {
		if c.seen[what] == 0 {
			idle = append(idle, what)
		}
	}
	if t.Logf("%v", c.seen); len(idle) > 0 {
		t.Errorf("nothing is shown of: %s", strings.Join(idle, ", "))
	}
}
