package chaos

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func resp(kind, subject, payload string) string {
	return fmt.Sprintf("%s3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", kind, len(subject), subject, len(payload), payload)
}

// What servers say, unit by unit: where each ends, and which are messages of what subject.
func TestUnits(t *testing.T) {
	type want struct{ text, subject string } // subject "-": no message
	for name, c := range map[string]struct {
		protocol Protocol
		units    []want
	}{
		"RESP": {RESP, []want{
			{"+OK\r\n", "-"}, {"-ERR no\r\n", "-"}, {":7\r\n", "-"}, {"_\r\n", "-"}, {"#t\r\n", "-"}, {",1.5\r\n", "-"},
			{"$-1\r\n", "-"}, {"$0\r\n\r\n", "-"}, {"*-1\r\n", "-"}, {"*0\r\n", "-"},
			{"%1\r\n$6\r\nserver\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n", "-"}, // a map whose value holds a line's end
			{">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "-"},
			{resp(">", "roomlog:main:room:chat:a", "x\r\n+OK\r\n>3"), "roomlog:main:room:chat:a"},
			{resp("*", "c", ""), "c"},
			{">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", "c"},
			{"*4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\nc1\r\n$1\r\nm\r\n", "c1"},
			{"=5\r\ntxt:a\r\n", "-"},
		}},
		"NATS": {NATS, []want{
			{"INFO {\"max_payload\":1048576}\r\n", "-"}, {"PING\r\n", "-"}, {"+OK\r\n", "-"}, {"-ERR 'no'\r\n", "-"},
			{"MSG roomlog.main.room:chat=2Ea 9 5\r\nx\r\ny\n\r\n", "roomlog.main.room:chat=2Ea"},
			{"MSG a 9 reply 0\r\n\r\n", "a"},
			{"HMSG b 9 12 15\r\nNATS/1.0\r\n\r\nabc\r\n", "b"},
			{"HMSG c 9 reply 12 12\r\nNATS/1.0\r\n\r\n\r\n", "c"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range c.units {
				b := []byte(w.text + "+rest\r\n")
				for n := range w.text {
					if u, err := c.protocol.next(b[:n]); u.size != 0 || err != nil {
						t.Fatalf("%d bytes of %q: %+v, %v; want that it has not all arrived", n, w.text, u, err)
					}
				}
				u, err := c.protocol.next(b)
				if err != nil || u.size != len(w.text) || u.message != (w.subject != "-") || u.message && u.subject != w.subject {
					t.Errorf("%q: %+v, %v", w.text, u, err)
				}
			}
		})
	}
	for _, text := range []string{"?1\r\n", "$x\r\n", "*x\r\n", "\r\n", strings.Repeat("*1\r\n", 40) + ":1\r\n"} {
		if u, err := RESP.next([]byte(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, u)
		}
	}
	if u, err := NATS.next([]byte("MSG a 9 x\r\n")); err == nil {
		t.Errorf("a message without a size is taken for %+v", u)
	}
}

// brokerPair is a broker with one connection through it.
func brokerPair(t *testing.T, protocol Protocol) (b *Broker, client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err = ListenBroker("127.0.0.1:0", l.Addr().String(), protocol, 7)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{Proxy: b.Proxy, t: t, server: l}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		l.Close()
	})
	client, server = p.openThrough()
	return b, client, server
}

func lose(t *testing.T, b *Broker, m Messages) {
	t.Helper()
	if err := b.SetMessages(m); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreDroppedRepeatedAndGarbled(t *testing.T) {
	b, client, server := brokerPair(t, RESP)
	lose(t, b, Messages{Subject: "room:", Drop: 1})
	write(t, server, resp(">", "room:a", "1")+"+OK\r\n"+resp(">", "cluster", "2"))
	wantRead(t, client, "+OK\r\n"+resp(">", "cluster", "2"))
	lose(t, b, Messages{Repeat: 1})
	write(t, server, resp(">", "room:a", "3")+"+OK\r\n")
	wantRead(t, client, resp(">", "room:a", "3")+resp(">", "room:a", "3")+"+OK\r\n")
	lose(t, b, Messages{Garble: 1})
	write(t, server, resp(">", "room:a", "a")+resp("*", "room:a", ""))
	wantRead(t, client, resp(">", "room:a", "`")+resp("*", "room:a", "")) // one bit of it; where there is none, none
	b.Heal()
	write(t, server, resp(">", "room:a", "4"))
	wantRead(t, client, resp(">", "room:a", "4"))
	if got, want := b.Counts(), (Counts{Passed: 2, Dropped: 1, Repeated: 1, Garbled: 2}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// A late message is overtaken by what comes behind it, arrives by itself, and answers keep their order.
func TestMessagesAreLate(t *testing.T) {
	b, client, server := brokerPair(t, NATS)
	lose(t, b, Messages{Late: 1, By: time.Minute})
	write(t, server, "MSG a 1 1\r\n1\r\nPING\r\n")
	wantRead(t, client, "PING\r\n")
	lose(t, b, Messages{Late: 1, By: time.Millisecond})
	write(t, server, "MSG a 1 1\r\n2\r\n")
	wantRead(t, client, "MSG a 1 1\r\n2\r\n")
	if c := b.Counts(); c.Late != 2 || c.Passed != 0 {
		t.Errorf("counted %+v", c)
	}
}

// The last message of each subject is missing whenever the server is silent; it is dropped, or goes on.
func TestTheLastMessageIsKept(t *testing.T) {
	b, client, server := brokerPair(t, RESP)
	b.KeepLast("room:")
	a, other := func(n string) string { return resp(">", "room:a", n) }, resp(">", "room:b", "x")
	write(t, server, a("1")+other+a("2")+resp(">", "cluster", "y")+a("3"))
	wantRead(t, client, a("1")+resp(">", "cluster", "y")+a("2"))
	wantQuiet(t, client)
	if n := b.DropKept(); n != 2 {
		t.Errorf("%d were dropped, want 2", n)
	}
	write(t, server, a("4"))
	wantRead(t, client, a("4"))

	b.KeepLast("room:a")
	write(t, server, a("5")+other)
	wantRead(t, client, other)
	if n := b.PassKept(); n != 1 {
		t.Errorf("%d went on, want 1", n)
	}
	wantRead(t, client, a("5"))
}

// What is not the protocol passes as it is, and the faults of connections work as on any proxy.
func TestABrokerIsAProxy(t *testing.T) {
	b, client, server := brokerPair(t, RESP)
	lose(t, b, Messages{Drop: 1})
	write(t, client, "\x16\x03\x01")
	wantRead(t, server, "\x16\x03\x01")
	write(t, server, "\x16\x03\x01\r\n")
	wantRead(t, client, "\x16\x03\x01\r\n")
	if c := b.Counts(); c.Unread != 1 {
		t.Errorf("counted %+v", c)
	}
	if err := b.Set(Fault{Kind: Blackhole}); err != nil {
		t.Fatal(err)
	}
	write(t, server, "held\r\n")
	wantQuiet(t, client)
	b.Heal()
	wantRead(t, client, "held\r\n")
	b.CutAll()
	wantBroken(t, client)
}

func TestMessagesAreValidated(t *testing.T) {
	for _, m := range []Messages{{Drop: -0.1}, {Drop: 0.6, Repeat: 0.6}, {Drop: 0.6, Garble: 0.6}, {Late: 0.1}} {
		if m.Validate() == nil {
			t.Errorf("%+v is taken", m)
		}
	}
	if _, err := ListenBroker("127.0.0.1:0", "127.0.0.1:1", 0, 1); err == nil {
		t.Error("no protocol is taken")
	}
}

// The same seed and the same messages have the same fate.
func TestFatesComeFromTheSeed(t *testing.T) {
	fates := func(seed uint64) string {
		m := &messages{protocol: NATS, seed: seed, sieves: map[*sieve]struct{}{}, fate: Messages{Drop: 0.3, Repeat: 0.2, Garble: 0.1, Late: 0.3, By: time.Second}}
		s := m.sieve(1)
		defer s.end()
		var all strings.Builder
		for n := range 100 {
			for _, data := range s.take(fmt.Appendf(nil, "MSG a 1 2\r\n%02d\r\n", n), time.Unix(0, 0)) {
				all.Write(data)
			}
		}
		return all.String()
	}
	if one, again := fates(1), fates(1); one != again {
		t.Error("one seed has two fates")
	}
	if fates(1) == fates(2) {
		t.Error("two seeds have one fate")
	}
}
