package bench

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// spoken gives a client frames, and says what it wrote to the server meanwhile.
func spoken(t *testing.T, c *client, frames ...string) (written []string, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	c.conn = ours
	done := make(chan struct{})
	go func() {
		defer close(done)
		server := &client{conn: theirs}
		for {
			for len(server.buf) >= 6 { // masked by zero, shorter than 126 bytes
				n := int(server.buf[1] & 0x7f)
				if len(server.buf) < 6+n {
					break
				}
				written = append(written, string(server.buf[6:6+n]))
				server.buf = server.buf[:copy(server.buf, server.buf[6+n:])]
			}
			if server.fill() != nil {
				return
			}
		}
	}()
	for _, frame := range frames {
		if err = c.says.look(c, []byte(frame)); err != nil {
			break
		}
	}
	ours.Close()
	<-done
	return written, err
}

// bodyOf is the data of an event as it comes back.
func bodyOf(sender int, count int64) string {
	return fmt.Sprintf(`{"s":%d,"k":%d,"us":123456,"text":"all work"}`, sender, count)
}

func push(sender int, count, offset int64) string {
	position := ""
	if offset > 0 {
		position = fmt.Sprintf(`,"offset":%d`, offset)
	}
	return `{"push":{"channel":"bench:a","pub":{"data":` + bodyOf(sender, count) + position + `}}}`
}

func packet(sender int, count int64) string { return `42["m",` + bodyOf(sender, count) + `,"PVgTq1a"]` }

// TestPeersLook gives each dialect what its server sends, and counts what came of it.
func TestPeersLook(t *testing.T) {
	kept, passed := centrifugeDialect{history: true}, centrifugeDialect{}
	subscribed := `{"id":1,"connect":{"client":"c","version":"","ping":10,"pong":true}}` + "\n" +
		`{"id":2,"subscribe":{"recoverable":true,"epoch":"xyzw","offset":7,"positioned":true}}`
	for name, c := range map[string]struct {
		client   *client
		frames   []string
		written  []string
		got, seq int64
		acks     int64
		position string
	}{
		"plain": {
			client:  &client{says: plainDialect{}, room: "bench:a"},
			frames:  []string{"joined", bodyOf(3, 1), "ping", bodyOf(4, 1), bodyOf(3, 2), "ack 1", "ack 2"},
			written: []string{"pong"}, got: 3, acks: 2,
		},
		"centrifuge, several messages in a frame": {
			client:  &client{says: kept, room: "bench:a"},
			frames:  []string{subscribed, push(1, 1, 8) + "\n" + push(2, 1, 9) + "\n{}\n" + push(1, 2, 10) + "\n", `{"id":3,"publish":{}}`},
			written: []string{"{}"}, got: 3, seq: 10, acks: 1, position: "xyzw",
		},
		"centrifuge, a new channel": {
			client: &client{says: kept, room: "bench:a"},
			frames: []string{`{"id":2,"subscribe":{"recoverable":true,"epoch":"xyzw","positioned":true}}`, push(1, 1, 1)},
			got:    1, seq: 1, position: "xyzw",
		},
		"centrifuge, recovered": {
			client: &client{says: kept, room: "bench:a", position: "xyzw", seq: 7},
			frames: []string{`{"id":2,"subscribe":{"recoverable":true,"epoch":"xyzw","publications":[{"data":` + bodyOf(1, 1) + `,"offset":8},{"data":` +
				bodyOf(1, 2) + `,"offset":9}],"recovered":true,"offset":9,"positioned":true,"was_recovering":true}}`, push(1, 3, 10)},
			got: 3, seq: 10, position: "xyzw",
		},
		"centrifuge without history": {
			client: &client{says: passed, room: "bench:a"},
			frames: []string{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{}}`, push(1, 1, 0) + "\n" + push(1, 2, 0)},
			got:    2,
		},
		"centrifuge, a sender": {
			client: &client{says: passed},
			frames: []string{`{"id":1,"connect":{}}` + "\n" + `{"id":3,"publish":{}}`},
			acks:   1,
		},
		"socketio": {
			client:  &client{says: socketioDialect{}, room: "bench:a"},
			frames:  []string{`0{"sid":"s","upgrades":[],"pingInterval":10000}`, `40{"sid":"t","pid":"p"}`, "430[]", packet(1, 1), "2", packet(1, 2), "431[]", "432[]"},
			written: []string{"40", `420["join","bench:a"]`, "3"}, got: 2, acks: 2, position: "p",
		},
		"socketio, to come back": {
			client:  &client{says: socketioDialect{}, room: "bench:a", keeps: true},
			frames:  []string{`0{"sid":"s"}`, `40{"sid":"t","pid":"p"}`, "430[]", packet(1, 1)},
			written: []string{"40", `420["join","bench:a"]`}, got: 1, position: "p PVgTq1a",
		},
		"socketio, recovered": {
			client:  &client{says: socketioDialect{}, room: "bench:a", position: "p PVgTq1a", last: []int64{0, 6}},
			frames:  []string{`0{"sid":"s"}`, `40{"sid":"t","pid":"p"}`, packet(1, 7)},
			written: []string{`40{"pid":"p","offset":"PVgTq1a"}`}, got: 1, position: "p PVgTq1a",
		},
		"socketio, a sender": {
			client:  &client{says: socketioDialect{}},
			frames:  []string{`0{"sid":"s"}`, `40{"sid":"t","pid":"p"}`, "431[]"},
			written: []string{"40"}, acks: 1,
		},
	} {
		written, err := spoken(t, c.client, c.frames...)
		is := c.client
		if err != nil || !slices.Equal(written, c.written) {
			t.Errorf("%s: %v, and wrote %q, not %q", name, err, written, c.written)
		}
		if !is.entered || is.got != c.got || is.seq != c.seq || is.acks != c.acks || is.position != c.position {
			t.Errorf("%s: entered %t, %d events, at %d, %d acks, position %q; not %d, %d, %d, %q",
				name, is.entered, is.got, is.seq, is.acks, is.position, c.got, c.seq, c.acks, c.position)
		}
	}
}

// TestPeersLookNotices: what is lost, doubled, reordered or refused is an error in each dialect.
func TestPeersLookNotices(t *testing.T) {
	kept, passed := centrifugeDialect{history: true}, centrifugeDialect{}
	for name, c := range map[string]struct {
		says   dialect
		frames []string
		about  string
	}{
		"plain, lost":                {plainDialect{}, []string{bodyOf(1, 1), bodyOf(1, 3)}, "lost"},
		"plain, doubled":             {plainDialect{}, []string{bodyOf(1, 1), bodyOf(1, 1)}, "lost"},
		"plain, the first lost":      {plainDialect{}, []string{bodyOf(1, 2)}, "lost"},
		"plain, an ack too many":     {plainDialect{}, []string{"ack 1", "ack 1"}, "due"},
		"plain, unknown":             {plainDialect{}, []string{"what"}, "a frame"},
		"kept, lost in a frame":      {kept, []string{push(1, 1, 1) + "\n" + push(1, 3, 3)}, "lost"},
		"kept, doubled":              {kept, []string{push(1, 1, 1), push(1, 1, 1)}, "lost"},
		"kept, without offset":       {kept, []string{push(1, 1, 0)}, "without"},
		"kept, one without offset":   {kept, []string{`{"push":{"channel":"a","pub":{"data":{}}}}` + `{"data":{},"offset":1}`}, "without"},
		"kept, not recovered":        {kept, []string{`{"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":9,"was_recovering":true}}`}, "refused"},
		"kept, another epoch":        {kept, []string{`{"id":2,"subscribe":{"epoch":"f","recovered":true,"offset":9}}`}, "refused"},
		"kept, no stream":            {kept, []string{`{"id":2,"subscribe":{}}`}, "refused"},
		"passed, lost in a frame":    {passed, []string{push(1, 1, 0) + "\n" + push(1, 3, 0)}, "lost"},
		"passed, an error":           {passed, []string{`{"id":3,"error":{"code":108,"message":"not available"}}`}, "refused"},
		"passed, a disconnect":       {passed, []string{`{"push":{"disconnect":{"code":3008,"reason":"slow"}}}`}, "refused"},
		"passed, an unsubscription":  {passed, []string{`{"push":{"channel":"bench:a","unsubscribe":{"code":2500}}}`}, "refused"},
		"passed, an ack too many":    {passed, []string{`{"id":3,"publish":{}}`, `{"id":3,"publish":{}}`}, "due"},
		"socketio, lost":             {socketioDialect{}, []string{packet(1, 1), packet(1, 3)}, "lost"},
		"socketio, refused":          {socketioDialect{}, []string{`44{"message":"no"}`}, "a frame"},
		"socketio, ended":            {socketioDialect{}, []string{"41"}, "a frame"},
		"socketio, not recovered":    {socketioDialect{}, []string{`40{"sid":"t","pid":"q"}`}, "refused"},
		"socketio, an ack too early": {socketioDialect{}, []string{"432[]"}, "due"},
	} {
		client := &client{says: c.says}
		if strings.HasPrefix(name, "kept, not") || strings.HasPrefix(name, "kept, another") {
			client.position = "e"
		}
		if name == "socketio, not recovered" {
			client.position = "p PVgTq1a"
		}
		if _, err := spoken(t, client, c.frames...); err == nil || !strings.Contains(err.Error(), c.about) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPeersPublish: what a send looks like, in the words of each protocol.
func TestPeersPublish(t *testing.T) {
	e := &send{room: "bench:a", n: 1, tag: "t", data: []byte(`{"s":1}`)}
	for _, c := range []struct {
		says dialect
		want string
	}{
		{plainDialect{}, `send 5 bench:a {"s":1}`},
		{centrifugeDialect{}, `{"id":7,"publish":{"channel":"bench:a","data":{"s":1}}}`},
		{socketioDialect{}, `425["send","bench:a",{"s":1}]`},
	} {
		if got := string(c.says.publish(nil, &client{acks: 4}, e)); got != c.want {
			t.Errorf("%T sends %s, not %s", c.says, got, c.want)
		}
	}
	c := &client{says: centrifugeDialect{history: true}, room: "bench:a", position: "xyzw", seq: 7}
	written, err := helloOf(t, c)
	want := `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"bench:a","recover":true,"epoch":"xyzw","offset":7}}`
	if err != nil || len(written) != 1 || written[0] != want {
		t.Errorf("a client that comes back says %q (%v), not %q", written, err, want)
	}
}

// helloer gives a client's hello to spoken as if it answered a frame.
type helloer struct{ dialect }

func (h helloer) look(c *client, _ []byte) error { return h.hello(c) }

func helloOf(t *testing.T, c *client) ([]string, error) {
	c.says = helloer{c.says}
	return spoken(t, c, "")
}

func TestTableWarnsOfVolatileAcks(t *testing.T) {
	var out strings.Builder
	rows := []Row{{Name: "idle", Target: "roomlog on sqlite"}, {Name: "idle", Target: "floor", Volatile: true}, {Name: "sends", Target: "floor", Volatile: true}}
	if err := table(&out, rows); err != nil {
		t.Fatal(err)
	}
	if want := "Not durable, an acked send is lost with the process: floor.\n"; !strings.HasSuffix(out.String(), "\n"+want) {
		t.Errorf("the table ends %q, not %q", out.String(), want)
	}
}
