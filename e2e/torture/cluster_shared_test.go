package torture

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/chaos"
	"roomlog/server/yjs"
)

// What several people work on at once has rooms of its own: the map of one whose events are kept, that of one of which only the map is, and
// documents.
var (
	boardRooms = []string{"chat:shared-board", "dash:shared-board"}
	paperRoom  = "chat:shared-paper"
)

const (
	settersPerRoom = 3
	pens           = 3
)

// kindsOfClusters is the configuration file of the nodes.
const kindsOfClusters = "kinds: {chat: {}, dash: {state: {history: none}}}\n"

// shared is who sets keys and writes documents while everything breaks, and who follows both (I15, I16).
type shared struct {
	setters  []*setter
	boards   []*board
	yjs      *yjsReference
	sheets   []*sheet
	pens     []*pen
	replicas []*replica
	lines    []*chaos.Proxy // between those who follow and the nodes; their connections are cut again and again
}

func (c *cluster) castShared() (err error) {
	s := &c.shared
	token := func(name string, can ...string) (string, error) {
		return sign(c.key, name, []grant{{Rooms: "chat:shared-*", Can: can}, {Rooms: "dash:shared-*", Can: can}}, 12*time.Hour)
	}
	var doors []door
	for _, d := range c.doors() {
		line, err := chaos.Listen("127.0.0.1:0", d.addr)
		if err != nil {
			return err
		}
		s.lines = append(s.lines, line)
		doors = append(doors, door{line.Addr().String(), d.node})
	}
	follow := func(name, transport, room string) (cursor, error) {
		own, err := token(name, "read")
		rng := c.draw()
		return cursor{transport, room, own, rng, rounds(rng, doors)}, err
	}
	all := &gossip{values: make(map[string]rawText)}
	for _, room := range boardRooms {
		for n := range settersPerRoom {
			one := &setter{name: fmt.Sprintf("setter-%d", n), room: room, rec: c.rec, rng: c.draw(), doors: c.doors()}
			if one.token, err = token(one.name, "read", "send"); err != nil {
				return err
			}
			s.setters = append(s.setters, one)
		}
		for _, one := range []*board{
			{name: "always there", lasts: 4 * stay, away: 100 * time.Millisecond, cursor: cursor{transport: "ws"}},
			{name: "by a stream", lasts: stay, away: 300 * time.Millisecond, cursor: cursor{transport: "sse"}},
			{name: "by polls", lasts: stay, away: 300 * time.Millisecond, cursor: cursor{transport: "poll"}},
			{name: "slow", lasts: 2 * stay, away: 200 * time.Millisecond, dawdles: 300 * time.Millisecond, cursor: cursor{transport: "ws"}},
			{name: "often away", lasts: stay / 2, away: 2 * stay, replay: 1, cursor: cursor{transport: "ws"}},
			{name: "there in the end", lasts: stay, away: 100 * time.Millisecond, newcomer: true, cursor: cursor{transport: "ws"}},
		} {
			one.rec, one.told = c.rec, all
			if one.cursor, err = follow(one.name, one.transport, room); err != nil {
				return err
			}
			s.boards = append(s.boards, one)
		}
	}
	for _, transport := range []string{"ws", "sse", "poll"} {
		one := &replica{name: "by " + transport, rec: c.rec, client: &http.Client{Timeout: 2 * quiet}}
		if one.cursor, err = follow(one.name, transport, paperRoom); err != nil {
			return err
		}
		s.replicas = append(s.replicas, one)
	}
	if s.yjs, err = startYjs(); err != nil {
		return err
	}
	if s.sheets, err = writeSheets(s.yjs, c.draw(), randomSheets, typedUpdates); err != nil {
		return err
	}
	for _, one := range s.replicas {
		for _, each := range s.sheets {
			one.names = append(one.names, each.name)
		}
	}
	for n := range pens {
		rng := c.draw()
		one := &pen{name: fmt.Sprintf("pen-%d", n), number: n, room: paperRoom, rec: c.rec, rng: rng, moves: rounds(rng, c.doors())}
		if one.token, err = token(one.name, "read", "send"); err != nil {
			return err
		}
		one.deal(s.sheets)
		s.pens = append(s.pens, one)
	}
	return nil
}

func (s *shared) close() (errs error) {
	for _, line := range s.lines {
		errs = errors.Join(errs, line.Close())
	}
	if s.yjs != nil {
		errs = errors.Join(errs, s.yjs.close())
	}
	return errs
}

// startShared begins what is written, and who follows it while clients lasts.
func (c *cluster) startShared(clients context.Context, stop <-chan struct{}, reading, writing *sync.WaitGroup) {
	s := &c.shared
	for _, one := range s.setters {
		writing.Go(func() { one.run(clients, stop) })
	}
	for _, one := range s.pens {
		writing.Go(func() { one.run(clients, stop) })
	}
	for _, one := range s.boards {
		reading.Go(func() {
			if one.newcomer {
				select {
				case <-stop:
				case <-clients.Done():
				}
			}
			one.run(clients)
		})
	}
	for _, one := range s.replicas {
		reading.Go(func() { one.run(clients) })
	}
	rng := c.draw()
	reading.Go(func() {
		for clients.Err() == nil {
			wait(clients, time.Duration(500+rng.IntN(1500))*time.Millisecond)
			s.lines[rng.IntN(len(s.lines))].CutAll()
		}
	})
}

// awaitShared waits until those who follow have all that the database has.
func (c *cluster) awaitShared(ctx context.Context) {
	heads, err := c.heads(ctx)
	if err != nil {
		c.problem("the heads: %v", err)
		return
	}
	over := time.Now().Add(2 * tailBound)
	await := func(name, room string, reached func(seq int64) bool) {
		for !reached(heads[room]) {
			if ctx.Err() != nil || time.Now().After(over) {
				c.problem("I9: the reader of %s that is %s does not reach %d", room, name, heads[room])
				return
			}
			wait(ctx, 20*time.Millisecond)
		}
	}
	for _, one := range c.shared.boards {
		await(one.name, one.room, one.reached)
	}
	for _, one := range c.shared.replicas {
		await(one.name, one.room, one.reached)
	}
}

// judgeShared holds all that clients saw of maps and documents against the database, whose nodes all say the same.
func (c *cluster) judgeShared(ctx context.Context) error {
	began := time.Now()
	defer func() { c.logf("what is shared was judged in %v", time.Since(began).Round(10*time.Millisecond)) }()
	token, err := sign(c.key, "judge", []grant{{Rooms: "*", Can: []string{"read"}}}, time.Hour)
	if err != nil {
		return err
	}
	for _, room := range boardRooms {
		if err := c.judgeBoards(ctx, room, token); err != nil {
			return fmt.Errorf("the map of %s: %w", room, err)
		}
	}
	return c.judgePapers(ctx, token)
}

func (c *cluster) judgeBoards(ctx context.Context, room, token string) error {
	var events []storedSet
	err := c.query(ctx, "select e.seq, e.tag::text, e.data from roomlog.events e join roomlog.rooms r on r.id = e.room where r.name = '"+room+"' and e.type = 'state' order by e.seq", func(row pgx.CollectableRow) error {
		var e storedSet
		var data string
		if err := row.Scan(&e.seq, &e.tag, &data); err != nil {
			return err
		}
		events = append(events, e)
		return json.Unmarshal([]byte(data), &events[len(events)-1].keys)
	})
	if err != nil {
		return err
	}
	kept := make(map[string]entry)
	err = c.query(ctx, "select s.key, coalesce(s.value, ''), s.seq from roomlog.state s join roomlog.rooms r on r.id = s.room where r.name = '"+room+"'", func(row pgx.CollectableRow) error {
		var key, value string
		var e entry
		err := row.Scan(&key, &value, &e.Seq)
		e.Value = rawText(value)
		kept[key] = e
		return err
	})
	if err != nil {
		return err
	}
	want := shown(mapAt(events, math.MaxInt64))
	same := func(who, got string) {
		if got != want {
			c.problem("I15: %s has as the map of %s %s, and its events say %s", who, room, got, want)
		}
	}
	same("the database", shown(kept))
	var said registers
	for _, one := range c.shared.setters {
		if one.room == room {
			said.settings = append(said.settings, one.said.settings...)
			said.lookups = append(said.lookups, one.said.lookups...)
		}
	}
	for _, n := range c.nodes {
		at := &setter{name: "judge", token: token, room: room, moves: func() door { return door{n.addr, n.name} }, client: &http.Client{Timeout: 2 * quiet}, known: map[string]int64{}}
		if err := at.look(ctx); err != nil {
			return err
		}
		same("node "+n.name, shown(at.said.lookups[0].Map))
		said.lookups = append(said.lookups, at.said.lookups[0])
	}
	folded := 0
	for _, one := range c.shared.boards {
		if one.room == room {
			same("the reader that is "+one.name, one.final)
			folded += one.folded
		}
	}
	c.problems = append(c.problems, said.judge(room, events)...)
	var compared, lost, open int
	for _, s := range said.settings {
		lost += len(s.Lost)
		if s.If >= 0 && s.Seq > 0 {
			compared++
		}
		if s.Return == 0 && len(s.Lost) == 0 {
			open++
		}
	}
	c.logf("state of %s: %d sends (%d compared and set, %d conflicts, %d without an answer), %d looks, %d pages with keys", room, len(said.settings), compared, lost, open, len(said.lookups), folded)
	if compared == 0 || lost == 0 || folded == 0 || len(said.lookups) == 0 {
		c.problem("I15: not everything was put to the test in %s", room)
	}
	return os.WriteFile(filepath.Join(c.dir, "state-of-"+room+".json"), jsonText(said), 0o600)
}

// judgePapers has npm yjs say whether every replica and every node has the document of all the updates that were sent.
func (c *cluster) judgePapers(ctx context.Context, token string) error {
	client := &http.Client{Timeout: 2 * quiet}
	read := func(n *node, doc, query string) (update []byte, err error) {
		err = ask(ctx, client, http.MethodGet, "http://"+n.addr+"/v1/rooms/"+paperRoom+"/docs/"+doc+query, token, nil, &update)
		return update, err
	}
	compactions, updates := 0, 0
	err := c.query(ctx, "select count(*) from roomlog.docs d join roomlog.rooms r on r.id = d.room where r.name = '"+paperRoom+"'", func(row pgx.CollectableRow) error { return row.Scan(&compactions) })
	if err != nil {
		return err
	}
	for _, s := range c.shared.sheets {
		var docs [][][]byte
		var of []string
		for _, n := range c.nodes {
			whole, err := read(n, s.name, "")
			if err != nil {
				return err
			}
			docs, of = append(docs, [][]byte{whole}), append(of, "node "+n.name)
		}
		for i, r := range c.shared.replicas {
			docs, of = append(docs, r.final[s.name]), append(of, "the replica "+r.name)
			half, err := yjs.Merge(r.final[s.name][:len(r.final[s.name])/2]...)
			if err != nil {
				return err
			}
			vector, err := yjs.StateVector(half)
			if err != nil {
				return err
			}
			n := c.nodes[i%len(c.nodes)]
			rest, err := read(n, s.name, "?sv="+base64.RawURLEncoding.EncodeToString(vector.Encode()))
			if err != nil {
				return err
			}
			docs, of = append(docs, [][]byte{half, rest}), append(of, "half of a replica, with what node "+n.name+" says it lacks,")
		}
		faults, err := c.shared.yjs.unlike(s.written(), docs)
		if err != nil {
			return err
		}
		for i, fault := range faults {
			if fault != "" {
				c.problem("I16: %s has another document %s (%s) than the %d updates that were sent: %.600s", of[i], s.name, s.mode, len(s.begun), fault)
			}
		}
		updates += len(s.begun)
	}
	sent, known := 0, 0
	for _, p := range c.shared.pens {
		sent, known = sent+p.sent, known+p.known
	}
	reads := 0
	for _, r := range c.shared.replicas {
		reads += r.read
	}
	c.logf("documents: %d updates of %d documents, sent in %d sends, of which %d had nothing new; %d of them were compacted; %d times pages left updates out, and replicas read them", updates, len(c.shared.sheets), sent, known, compactions, reads)
	if known == 0 { // how many updates there were for a compaction is the machine's
		c.problem("I16: not everything was put to the test")
	}
	return nil
}
