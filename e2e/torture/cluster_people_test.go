package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"roomlog/chaos"
)

const (
	peopleRoom  = besidePrefix + "people"
	steadyUsers = 6
	pairedUsers = 3
	// hush is in all that is said in rooms that are not an outsider's.
	hush = "hush-7c2e91d04b"
	// busy is what is asserted beyond the numbers of presence, since two cores may be busy; the log of the run says what it took.
	busy = 6 * time.Second
)

// people are the users of a room who are present while everything breaks, and who watches them by each node (I14).
type people struct {
	truth    *timeline
	tabs     []*tab
	watchers []*watcher
	expected []string // who is there all the time
	took     []string // how long what went by itself was shown
}

func (c *cluster) peopleToken(user string) (string, error) {
	return sign(c.key, user, []grant{{Rooms: besidePrefix + "*", Can: []string{"read", "send"}}}, 12*time.Hour)
}

func (c *cluster) castPeople() error {
	c.people.truth = newTimeline()
	for i := range steadyUsers + pairedUsers {
		user, tabs := fmt.Sprintf("%s-steady-%d", hush, i), 1
		if i >= steadyUsers {
			user, tabs = fmt.Sprintf("%s-paired-%d", hush, i), 2
		}
		token, err := c.peopleToken(user)
		if err != nil {
			return err
		}
		c.people.expected = append(c.people.expected, user)
		for n := range tabs {
			rng := c.draw()
			c.people.tabs = append(c.people.tabs, &tab{
				user: user, token: token, room: peopleRoom, data: map[string]any{"says": hush}, truth: c.people.truth, rec: c.rec,
				rng: rng, moves: rounds(rng, c.doors()), lasts: time.Duration(n) * 1500 * time.Millisecond,
			})
		}
	}
	slices.Sort(c.people.expected)
	for _, d := range c.doors() {
		token, err := c.peopleToken("watcher-" + d.node)
		if err != nil {
			return err
		}
		c.people.watchers = append(c.people.watchers, &watcher{
			node: d, token: token, room: peopleRoom, rec: c.rec, members: make(map[string]string), seen: make(map[string]bool),
		})
	}
	return nil
}

func (c *cluster) startPeople(ctx context.Context, going *sync.WaitGroup) {
	for _, t := range c.people.tabs {
		going.Go(func() { t.run(ctx) })
	}
	for _, w := range c.people.watchers {
		going.Go(func() { w.run(ctx) })
	}
}

// await waits until every one of the watchers shows what it is asked for, and says how long it took.
func (c *cluster) await(ctx context.Context, within time.Duration, what string, watchers []*watcher, good func(shown []string) bool) time.Duration {
	began := time.Now()
	for {
		bad := slices.IndexFunc(watchers, func(w *watcher) bool { return !good(w.shows()) })
		took := time.Since(began)
		if bad < 0 {
			return took
		}
		if took > within || ctx.Err() != nil {
			c.problem("I14: after %v it is not so that %s: node %s shows %v", within, what, watchers[bad].node.node, watchers[bad].shows())
			return took
		}
		wait(ctx, 10*time.Millisecond)
	}
}

// comeAndGo has users come and go in every way while nothing else is broken, and measures for how long each is shown: by a leave,
// by the end of their process, by a connection that goes dark, by the end of their node.
func (c *cluster) comeAndGo(ctx context.Context) error {
	c.healLines()
	p := &c.people
	c.await(ctx, mendedWithin+busy, "everybody is shown", p.watchers, func(shown []string) bool { return slices.Equal(shown, p.expected) })
	lost := c.one()
	at := func(i int) door { return c.doors()[(lost+i)%len(c.nodes)] }
	dark, err := chaos.Listen("127.0.0.1:0", at(1).addr)
	if err != nil {
		return err
	}
	defer dark.Close()
	ways := []string{"leaves", "killed", "dark", "lost"}
	doors := []door{at(1), at(2), {addr: dark.Addr().String(), node: at(1).node}, at(0)}
	visits, end := context.WithCancel(ctx)
	var visiting sync.WaitGroup
	defer visiting.Wait()
	defer end()
	leaves, leave := context.WithCancel(visits)
	defer leave()
	began := time.Now()
	kill := func() {}
	defer func() { kill() }()
	for i, way := range ways {
		user := hush + "-" + way
		token, err := c.peopleToken(user)
		if err != nil {
			return err
		}
		of := visits
		switch way {
		case "leaves":
			of = leaves
		case "killed":
			process, err := visitor{Addr: doors[i].addr, Token: token, Room: peopleRoom, User: user}.start()
			if err != nil {
				return err
			}
			kill = sync.OnceFunc(func() { _, _ = process.Process.Kill(), process.Wait() })
			continue
		}
		t := &tab{
			user: user, token: token, room: peopleRoom, truth: p.truth, rec: c.rec,
			rng: rand.New(rand.NewPCG(c.rng.Uint64(), 5)), moves: func() door { return doors[i] },
		}
		visiting.Go(func() { _, _ = t.visit(of) })
	}
	everybody := func(shown []string) bool {
		return !slices.ContainsFunc(ways, func(way string) bool { return !slices.Contains(shown, hush+"-"+way) })
	}
	c.await(ctx, busy, "who came is shown", p.watchers, everybody)
	p.took = append(p.took, fmt.Sprintf("came %v", time.Since(began).Round(10*time.Millisecond)))

	leave()
	if err := dark.Set(chaos.Fault{Kind: chaos.Blackhole}); err != nil {
		return err
	}
	kill()
	whole := p.truth.strain(c.nodes[lost].name)
	if err := c.nodes[lost].kill(); err != nil {
		return err
	}
	remaining := []*watcher{p.watchers[(lost+1)%len(c.nodes)], p.watchers[(lost+2)%len(c.nodes)]}
	c.measureLeaves(ctx, ways, remaining)
	if err := c.nodes[lost].start(ctx); err != nil {
		return err
	}
	whole()
	if err := c.bus.flush(ctx); err != nil {
		return err
	}
	c.await(ctx, mendedWithin+busy, "all nodes show the same", p.watchers, func(shown []string) bool { return slices.Equal(shown, p.expected) })
	return c.judgePeople(ctx)
}

// findLeases notes when a lease ended, as the nodes' logs say: a machine that is too busy to renew it has its node taken for dead,
// by right (PRES-10). Each node that says so of another counts.
func (c *cluster) findLeases() error {
	lost := 0
	note := func(node string, at time.Time) {
		c.people.truth.hurt(node, at.Add(-presenceLease-time.Second), at.Add(time.Second))
		lost++
	}
	for _, n := range c.nodes {
		ended, err := n.said("presence: the lease of this node has ended")
		if err != nil {
			return err
		}
		gone, err := n.said("presence: a node is gone")
		if err != nil {
			return err
		}
		for _, l := range ended {
			note(n.name, l.Time)
		}
		for _, l := range gone {
			note(l.Peer, l.Time)
		}
	}
	c.logf("presence: leases were seen to end %d times", lost)
	return nil
}

// measureLeaves measures until when nodes show those who have just gone in these ways.
func (c *cluster) measureLeaves(ctx context.Context, ways []string, remaining []*watcher) {
	within := map[string]time.Duration{
		"leaves": presenceGrace + time.Second, "killed": presenceGrace + time.Second,
		"dark": pingEvery + pongWithin + presenceGrace + time.Second, "lost": presenceLease + presenceGrace + time.Second,
	}
	var measuring sync.WaitGroup
	var mu sync.Mutex
	for _, way := range ways {
		measuring.Go(func() {
			began, bound := time.Now(), within[way]+busy
			for time.Since(began) < bound && slices.ContainsFunc(remaining, func(w *watcher) bool { return slices.Contains(w.shows(), hush+"-"+way) }) {
				wait(ctx, 10*time.Millisecond)
			}
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			c.people.took = append(c.people.took, fmt.Sprintf("%s %v (%v)", way, took.Round(10*time.Millisecond), within[way]))
			if took >= bound {
				c.problem("I14: %v after it ended by %q a user is still shown", bound, way)
			}
		})
	}
	measuring.Wait()
}

// whoIsAnswer is the presence of a room by request (PRES-14).
type whoIsAnswer struct {
	Users   int  `json:"users"`
	Stale   bool `json:"stale"`
	Members []struct {
		User  string          `json:"user"`
		Since string          `json:"since"`
		Data  json.RawMessage `json:"data"`
	} `json:"members"`
}

func (c *cluster) whoIsThere(ctx context.Context, client *http.Client, n *node) (answer whoIsAnswer, err error) {
	only := func() door { return door{n.addr, n.name} }
	status, text, err := insist(ctx, client, http.MethodGet, "/v1/rooms/"+peopleRoom+"/presence", c.people.watchers[0].token, nil, only)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	return answer, err
}

// judgePeople: all nodes answer alike, and nobody was shown as gone who was there.
func (c *cluster) judgePeople(ctx context.Context) error {
	p := &c.people
	var answers []string
	client := &http.Client{Timeout: quiet}
	for _, n := range c.nodes {
		answer, err := c.whoIsThere(ctx, client, n)
		for over := time.Now().Add(mendedWithin + busy); err == nil && answer.Stale && time.Now().Before(over); wait(ctx, 50*time.Millisecond) {
			answer, err = c.whoIsThere(ctx, client, n) // the leases were emptied just now
		}
		if err != nil || answer.Stale {
			c.problem("I14: node %s answers presence as stale %v: %v", n.name, answer.Stale, err)
			continue
		}
		var names []string
		var all strings.Builder
		for _, m := range answer.Members {
			names = append(names, m.User)
			fmt.Fprintf(&all, "%s since %s %s\n", m.User, m.Since, m.Data)
		}
		if !slices.Equal(names, p.expected) || answer.Users != len(p.expected) {
			c.problem("I14: node %s answers that %d are there: %v", n.name, answer.Users, names)
		}
		answers = append(answers, all.String())
	}
	if len(slices.Compact(answers)) > 1 {
		c.problem("I14: nodes differ:\n%s", strings.Join(answers, "\n"))
	}
	if err := c.findLeases(); err != nil {
		return err
	}
	excused, frames := make(map[string]int), 0
	leaves := 0
	for _, w := range p.watchers {
		w.mu.Lock()
		frames += w.frames
		for _, ch := range w.changes {
			if ch.came {
				continue
			}
			if why := p.truth.excuse(ch.user, ch.at); why != "" {
				excused[why]++
				continue
			}
			leaves++
			c.problem("I14: node %s shows %s as gone %v after the beginning (full %v), who had a connection", w.node.node, ch.user, ch.at.Sub(c.began).Round(10*time.Millisecond), ch.full)
		}
		w.mu.Unlock()
	}
	c.logf("presence: %d frames to %d watchers; wrong leaves %d, right ones %v; shown for (at most, beside a busy machine): %s",
		frames, len(p.watchers), leaves, excused, strings.Join(p.took, ", "))
	return nil
}
