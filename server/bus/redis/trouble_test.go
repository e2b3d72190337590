//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"roomlog/chaos"
	"roomlog/child"
	"roomlog/server/bus/redis/redistest"
	"roomlog/server/room"
)

// ear is a receiver that gives what it hears to channels.
type ear struct {
	up         chan struct{}
	down       chan error
	messages   chan string
	subscribed chan room.Topic
}

func (e *ear) Received(_ room.Topic, message []byte) { e.messages <- string(message) }
func (e *ear) Subscribed(topic room.Topic)           { e.subscribed <- topic }
func (e *ear) Up()                                   { e.up <- struct{}{} }
func (e *ear) Down(reason error)                     { e.down <- reason }
func (e *ear) Missed(int)                            {}

const patience = time.Minute

func next[T any](t *testing.T, c chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
	return value
}

func start(t *testing.T, dsn string, topics ...room.Topic) (room.Bus, *ear) {
	t.Helper()
	e := &ear{up: make(chan struct{}, 100), down: make(chan error, 100), messages: make(chan string, 100), subscribed: make(chan room.Topic, 100)}
	bus := open(dsn)(t, "main", room.BusOptions{})
	for _, topic := range topics {
		bus.Subscribe(topic)
	}
	bus.Start(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		no(t, bus.Close(ctx))
	})
	return bus, e
}

func serve(t testing.TB, args ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Start("", args...)
	no(t, err)
	t.Cleanup(func() { no(t, s.Close()) })
	return s
}

// What the server refuses is a loss with the server's reason, which holds no secret: a login, a channel that
// may not be subscribed or published to, TLS that it does not speak.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ scheme, password, rights, reason string }{
		"password":  {"redis", "wrong-" + password, "&roomlog:* +@all", "wrongpass"},
		"subscribe": {"redis", password, "resetchannels &roomlog:other:* +@all", "no permissions to access"},
		"publish":   {"redis", password, "&roomlog:* +@all -publish", "no permissions to run the 'publish'"},
		"TLS":       {"rediss", password, "&roomlog:* +@all", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			do(t, s, append([]string{"ACL", "SETUSER", "u", "on", ">" + password}, strings.Fields(c.rights)...)...)
			bus, e := start(t, c.scheme+"://u:"+c.password+"@"+s.Address(), room.ClusterTopic)
			if name == "publish" {
				next(t, e.up)
				no(t, bus.Publish(room.ClusterTopic, []byte("x")))
			}
			reason := strings.ToLower(next(t, e.down).Error())
			if !strings.Contains(reason, c.reason) || strings.Contains(reason, password) {
				t.Errorf("the reason is %q", reason)
			}
		})
	}
}

// TLS: a server whose certificate is trusted is taken, one under another name is not.
func TestTLS(t *testing.T) {
	port, err := child.FreePort()
	no(t, err)
	serve(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no")
	bus, e := start(t, fmt.Sprintf("rediss://127.0.0.1:%d", port), room.ClusterTopic)
	next(t, e.up)
	no(t, bus.Publish(room.ClusterTopic, []byte("here")))
	if got := next(t, e.messages); got != "here" {
		t.Errorf("received %q", got)
	}
	_, e = start(t, fmt.Sprintf("rediss://localhost:%d", port))
	if reason := next(t, e.down).Error(); !strings.Contains(reason, "certificate") {
		t.Errorf("the reason is %q", reason)
	}
}

// A node that does not read is cut off by the server, which bounds what it keeps for it; that is a loss like any other.
func TestServerCutsSlowNode(t *testing.T) {
	s := serve(t, "--client-output-buffer-limit", "pubsub 1mb 1mb 1")
	proxy, err := chaos.Listen("127.0.0.1:0", s.Address())
	no(t, err)
	t.Cleanup(func() { no(t, proxy.Close()) })
	fast, earFast := start(t, "redis://"+s.Address())
	next(t, earFast.up)
	_, earSlow := start(t, "redis://"+proxy.Addr().String(), room.ClusterTopic)
	next(t, earSlow.up)

	no(t, proxy.Set(chaos.Fault{Kind: chaos.Blackhole}))
	big := make([]byte, room.MaxBusMessage)
	for cut, until := false, time.Now().Add(patience); !cut; {
		no(t, fast.Publish(room.ClusterTopic, big))
		log, err := s.Log()
		no(t, err)
		cut = strings.Contains(log, "overcoming of output buffer limits")
		if time.Now().After(until) {
			t.Fatal("the server does not cut the node off")
		}
	}
	proxy.Heal()
	next(t, earSlow.down)
	next(t, earSlow.up)
	// What was still on its way may fill an outbox, or the server's buffer again: what counts is that it ends.
	for late := time.After(patience); ; {
		no(t, fast.Publish(room.ClusterTopic, []byte("again")))
		select {
		case m := <-earSlow.messages:
			if m == "again" {
				return
			}
		case <-time.After(10 * time.Millisecond): // until the next attempt
		case <-late:
			t.Fatal("waited in vain")
		}
	}
}

// The rights that the documentation names are enough.
func TestLeastRights(t *testing.T) {
	s := serve(t)
	do(t, s, "ACL", "SETUSER", "u", "on", ">"+password, "resetchannels", "&roomlog:main:*",
		"+hello", "+ping", "+cluster", "+client|setname", "+publish", "+subscribe", "+unsubscribe")
	bus, e := start(t, "redis://u:"+password+"@"+s.Address(), room.ClusterTopic, "room:a:b")
	next(t, e.up)
	no(t, bus.Publish(room.ClusterTopic, []byte("here")))
	if got := next(t, e.messages); got != "here" {
		t.Errorf("received %q", got)
	}
	bus.Unsubscribe("room:a:b")
	bus.Subscribe("room:a:c")
	for next(t, e.subscribed) != "room:a:c" {
	}
}

// When slots move to another server of a Redis Cluster, their topics follow.
func TestSlotsMove(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := redistest.StartCluster(ctx, "", 2)
	no(t, err)
	t.Cleanup(func() { no(t, c.Close()) })
	topics := make([]room.Topic, 64) // some on each of the 16 shards
	for n := range topics {
		topics[n] = room.Topic(fmt.Sprint("room:chat:", n))
	}
	dsn := "redis://" + c.Servers[0].Address() + "?addr=" + c.Servers[1].Address()
	a, earA := start(t, dsn)
	_, earB := start(t, dsn, topics...)
	next(t, earA.up)
	next(t, earB.up)

	to := strings.TrimSpace(do(t, c.Servers[1], "CLUSTER", "MYID"))
	for shard := range 16 {
		slot := do(t, c.Servers[0], "CLUSTER", "KEYSLOT", fmt.Sprintf("roomlog:{main:%d}:", shard))
		do(t, c.Servers[1], "CLUSTER", "SETSLOT", slot, "NODE", to)
		do(t, c.Servers[0], "CLUSTER", "SETSLOT", slot, "NODE", to)
	}
	t.Logf("all slots moved: %v", next(t, earB.down))
	// A node may need more than one attempt until the servers agree; what counts is that it arrives.
	arrived := map[string]bool{}
	for until := time.Now().Add(patience); len(arrived) < len(topics) && time.Now().Before(until); {
		for _, topic := range topics {
			if !arrived[string(topic)] {
				no(t, a.Publish(topic, []byte(topic)))
			}
		}
		select {
		case m := <-earB.messages:
			arrived[m] = true
		case <-time.After(10 * time.Millisecond): // until the next attempt
		}
		for range len(earB.messages) {
			arrived[<-earB.messages] = true
		}
	}
	if len(arrived) < len(topics) {
		t.Errorf("of %d topics %d arrive", len(topics), len(arrived))
	}
}
