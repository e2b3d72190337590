package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// changedRooms are rooms of their own: what is deleted has no one payload, and the history holds every event to one.
const (
	besidePrefix    = "chat:beside-"
	changedRooms    = 2
	changersPerRoom = 2
)

func changedRoom(i int) string { return fmt.Sprintf("%schanged-%d", besidePrefix, i) }

// changes are the messages that change while everything breaks, and who reads them (I4 under redaction).
type changes struct {
	ledger   *ledger
	changers []*changer
	keepers  []*keeper
	readers  []*reader
}

func (c *cluster) castChanges() error {
	c.changes = changes{ledger: newLedger()}
	token := func(name string, can ...string) (string, error) {
		return sign(c.key, name, []grant{{Rooms: besidePrefix + "*", Can: can}}, 12*time.Hour)
	}
	moderator, err := token("moderator", "read", "send", "moderate")
	if err != nil {
		return err
	}
	for i := range changedRooms {
		for n := range changersPerRoom {
			name := fmt.Sprintf("changer-%d-%d", i, n)
			own, err := token(name, "read", "send")
			if err != nil {
				return err
			}
			c.changes.changers = append(c.changes.changers, &changer{
				name: name, token: own, moderator: "moderator", modToken: moderator, room: changedRoom(i), rec: c.rec,
				ledger: c.changes.ledger, rng: c.draw(), doors: c.doors(),
			})
		}
		for _, transport := range []string{"ws", "sse", "poll"} {
			name := "keeper-" + transport
			own, err := token(name, "read")
			if err != nil {
				return err
			}
			rng := c.draw()
			c.changes.keepers = append(c.changes.keepers, &keeper{
				cursor: cursor{transport, changedRoom(i), own, rng, rounds(rng, c.doors())}, name: name, rec: c.rec, ledger: c.changes.ledger,
			})
		}
	}
	return c.castReaders()
}

// startChanges begins what is changed, and who reads it while clients lasts.
func (c *cluster) startChanges(clients context.Context, stop <-chan struct{}, reading, writing *sync.WaitGroup) {
	for _, one := range c.changes.changers {
		writing.Go(func() { one.run(clients, stop) })
	}
	for _, one := range c.changes.keepers {
		reading.Go(func() { one.run(clients) })
	}
	for _, one := range c.changes.readers {
		reading.Go(func() { one.run(clients, stop) })
	}
	for i := range changedRooms {
		rng := c.draw()
		token := c.changes.keepers[i*3].token
		reading.Go(func() {
			historian(clients, changedRoom(i), token, c.rec, c.changes.ledger, rng, rounds(rng, c.doors()))
		})
	}
}

// awaitKeepers waits until those who follow have all that the database has: the hint of the last delete may be lost.
func (c *cluster) awaitKeepers(ctx context.Context) {
	heads, err := c.heads(ctx)
	if err != nil {
		c.problem("the heads: %v", err)
		return
	}
	over := time.Now().Add(2 * tailBound)
	for _, k := range c.changes.keepers {
		for k.at() < heads[k.room] {
			if ctx.Err() != nil || time.Now().After(over) {
				c.problem("I9: the keeper over %s stands at %d of %d in %s", k.transport, k.at(), heads[k.room], k.room)
				break
			}
			wait(ctx, 20*time.Millisecond)
		}
	}
}

// judgeChanges asks every node, by every way, and the database for what was deleted, while nobody writes any more; and
// holds what every reader made of the events against what the nodes say that it is now.
func (c *cluster) judgeChanges(ctx context.Context) {
	l := c.changes.ledger
	if l.deletes == 0 || l.edits == 0 || l.repeats == 0 || l.reads == 0 {
		c.problem("I4: nothing was put to the test: %d edits, %d deletes, %d repeats of deleted sends, %d reads", l.edits, l.deletes, l.repeats, l.reads)
	}
	finals := make(map[string]fold)
	for _, n := range c.nodes {
		for i := range changedRooms {
			final, err := c.judgeRoom(ctx, n, changedRoom(i))
			if err != nil {
				c.problem("I4: %s by node %s: %v", changedRoom(i), n.name, err)
				continue
			}
			finals[changedRoom(i)] = final
		}
	}
	for _, k := range c.changes.keepers {
		if where := k.differs(finals[k.room]); where != "" {
			c.problem("I4: what the reader over %s folded of %s is not what the log folds to: %s", k.transport, k.room, where)
		}
	}
	if err := c.judgeMarks(ctx, finals); err != nil {
		c.problem("I22: %v", err)
	}
	if err := c.searchTables(ctx); err != nil {
		c.problem("I4: the tables: %v", err)
	}
	c.logf("changes: %d edits, %d deletes, %d repeats of deleted sends, %d reads of present content; %d messages stay",
		l.edits, l.deletes, l.repeats, l.reads, len(l.keeps))
}

// judgeRoom reads a room of one node by replay, live, as present content and by search.
func (c *cluster) judgeRoom(ctx context.Context, n *node, room string) (fold, error) {
	token := c.changes.keepers[0].token
	client := &http.Client{Timeout: 2 * quiet}
	only := func() door { return door{n.addr, n.name} }
	get := func(path string) (changedPage, error) {
		status, text, err := insist(ctx, client, http.MethodGet, "/v1/rooms/"+room+path, token, nil, only)
		if err != nil || status != http.StatusOK {
			return changedPage{}, fmt.Errorf("%s: status %d: %w", path, status, err)
		}
		if found := c.changes.ledger.ghosts(text, 0); len(found) > 0 {
			c.problem("I4: node %s answers %s of %s with %d words that were deleted", n.name, path, room, len(found))
		}
		var p changedPage
		return p, json.Unmarshal(text, &p)
	}
	stored, present := make(fold), make(fold)
	log, err := wholeLog(get)
	if err != nil {
		return nil, err
	}
	for _, e := range log {
		stored.apply(e)
	}
	for before := int64(1 << 40); before > 1; {
		p, err := get(fmt.Sprintf("/events?limit=500&before=%d", before))
		if err != nil {
			return nil, err
		}
		if len(p.Events) == 0 {
			break
		}
		for _, e := range p.Events {
			if e.Type == "message" {
				present[e.Seq] = e.shownAs()
			}
		}
		before = p.Events[0].Seq
	}
	if _, err := get("/search?q=zap&limit=100"); err != nil {
		return nil, err
	}
	if where := stored.differs(present); where != "" {
		c.problem("I4: node %s: what the log of %s folds to is not its present content: %s", n.name, room, where)
	}
	c.judgeKept(n, room, present)
	return stored, c.judgeLive(ctx, n, room, token, stored)
}

// wholeLog reads a room from its beginning.
func wholeLog(get func(path string) (changedPage, error)) (log []changedEvent, err error) {
	for position := "0"; ; {
		p, err := get("/events?limit=500&after=" + position)
		if err != nil || len(p.Events) == 0 {
			return log, err
		}
		log, position = append(log, p.Events...), p.Position
	}
}

// judgeKept: nothing else is gone, and what stays says what it was made to say last.
func (c *cluster) judgeKept(n *node, room string, present fold) {
	l := c.changes.ledger
	for _, m := range l.keeps {
		if row := present[m.seq]; m.room == room && (row == nil || !strings.Contains(row.data, m.words[len(m.words)-1])) {
			c.problem("I4: node %s: message %d of %s is %s, and was never deleted", n.name, m.seq, room, row.says())
		}
	}
	for _, m := range l.dead {
		if row := present[m.seq]; m.room == room && (row == nil || !row.deleted) {
			c.problem("I4: node %s: message %d of %s is %s, and was deleted", n.name, m.seq, room, row.says())
		}
	}
}

// judgeLive joins from the beginning, as a cursor over a WebSocket does.
func (c *cluster) judgeLive(ctx context.Context, n *node, room, token string, want fold) error {
	k := &keeper{cursor: cursor{"ws", room, token, c.draw(), func() door { return door{n.addr, n.name} }}, rec: c.rec, ledger: c.changes.ledger}
	k.begin()
	heads, err := c.heads(ctx)
	if err != nil {
		return err
	}
	visit, end := context.WithTimeout(ctx, tailBound)
	defer end()
	done := make(chan error, 1)
	go func() { done <- k.visit(visit, tailBound) }()
	for k.at() < heads[room] && visit.Err() == nil {
		wait(visit, 5*time.Millisecond)
	}
	end()
	<-done
	if where := k.differs(want); where != "" {
		return fmt.Errorf("a join gives another content: %s", where)
	}
	return nil
}

// searchTables looks through every table of the database for what was deleted.
func (c *cluster) searchTables(ctx context.Context) error {
	var tables []string
	err := c.query(ctx, `select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'roomlog' order by 1`, func(row pgx.CollectableRow) error {
		var name string
		err := row.Scan(&name)
		tables = append(tables, name)
		return err
	})
	for _, table := range tables {
		words := 0
		err := c.query(ctx, "select t::text from "+table+" t where t::text like '%zap%'", func(row pgx.CollectableRow) error {
			var text string
			err := row.Scan(&text)
			words += len(c.changes.ledger.ghosts([]byte(text), 0))
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		if words > 0 {
			c.problem("I4: the table %s holds %d words that were deleted", table, words)
		}
	}
	return err
}
