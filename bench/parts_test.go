package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBody: every event's data is a JSON object of the size that was asked for, and what bodies reads of it is there.
func TestBody(t *testing.T) {
	c := &client{}
	for _, size := range []int{bodyBytes, pacedBytes} {
		for range 3 {
			count := c.got + 1
			b := appendBody([]byte("before "), 7, count, size)[7:]
			var data struct{ S, K int64 }
			if err := json.Unmarshal(b, &data); err != nil || len(b) != size || data.S != 7 || data.K != count {
				t.Fatalf("%s (%d bytes): %v", b, len(b), err)
			}
			if err := c.bodies(fmt.Appendf(nil, `{"event":%s}`, b)); err != nil {
				t.Error(err)
			}
		}
	}
	if c.got != 6 {
		t.Errorf("the client has %d events of 6", c.got)
	}
	for name, frame := range map[string]string{
		"a repeat": `{"s":7,"k":6,`, "a hole": `{"s":7,"k":8,`, "another's first that is none": `{"s":3,"k":2,`,
		"no count": `{"s":7}`, "a sender beyond all": `{"s":9999999,"k":1}`, "a count beyond all": `{"s":7,"k":99999999999999999999}`,
	} {
		if err := c.bodies([]byte(frame)); err == nil || c.got != 6 {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestTag(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		before := time.Now().UnixMilli()
		tag := newTag()
		var ms int64
		if _, err := fmt.Sscanf(strings.ReplaceAll(tag[:13], "-", ""), "%x", &ms); err != nil || ms < before || ms > time.Now().UnixMilli() {
			t.Fatalf("%s is not of this millisecond: %v", tag, err)
		}
		if !uuid.MatchString(tag) || seen[tag] {
			t.Fatalf("%s is no new UUID of version 7 (RFC 9562)", tag)
		}
		seen[tag] = true
	}
}

// TestStream: the events of a stream are cut at empty lines, and their pages checked like those of a WebSocket.
func TestStream(t *testing.T) {
	page := func(prev, seq int64, events ...int64) string {
		return fmt.Sprintf("event: page\nid: k:%d:0\ndata: %s\n\n", seq, pageFrame("page", prev, seq, events...))
	}
	text := "event: ready\nid: k:0\ndata: {\"connection\":\"c\",\"secret\":\"s\"}\n\n: beat\n\nretry: 1000\n\n" + page(0, 2, 1, 2) + page(2, 3, 3)
	for cut := range len(text) {
		c, s := &client{}, roomlogStream{&roomlog{}}
		var got int
		for _, piece := range []string{text[:cut], text[cut:]} {
			c.buf = append(c.buf, piece...)
			for {
				event, rest, ok, err := cutEvent(c.buf)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if err := s.look(c, event); err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				got++
				c.buf = rest
			}
		}
		if got != 5 || c.got != 3 || c.seq != 3 || !c.entered || len(c.buf) != 0 {
			t.Fatalf("cut at %d: %d events of the stream, %d of the room, %d bytes left", cut, got, c.got, len(c.buf))
		}
	}
	for name, event := range map[string]string{
		"a lost page": page(4, 5, 5), "a doubled one": page(1, 2, 2), "a lost event": page(3, 6, 4, 6), "a reset": "event: reset\ndata: {}\n\n",
	} {
		if err := (roomlogStream{&roomlog{}}).look(&client{seq: 3}, []byte(event)); err == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

// TestCompare: ratios are of medians, to the reference in the same row, figure by figure.
func TestCompare(t *testing.T) {
	rows := []Row{
		{Name: "a", Target: "x", Figures: []Figure{{Name: "f", Values: []float64{1, 50, 3}}, {Name: "alone", Values: []float64{1}}}},
		{Name: "a", Target: "floor", Figures: []Figure{{Name: "zero", Values: []float64{0}}, {Name: "f", Values: []float64{2, 2, 90}}}},
		{Name: "b", Target: "x", Figures: []Figure{{Name: "f", Values: []float64{8}}}},
	}
	compare(rows, "floor")
	for _, c := range []struct {
		got, want float64
		what      string
	}{
		{rows[0].Figures[0].Ratio, 1.5, "f of x in a"}, {rows[0].Figures[1].Ratio, 0, "what the reference has not"},
		{rows[1].Figures[1].Ratio, 0, "the reference to itself"}, {rows[2].Figures[0].Ratio, 0, "another row"},
	} {
		if c.got != c.want {
			t.Errorf("the ratio of %s is %v, not %v", c.what, c.got, c.want)
		}
	}
}

// TestProgress says how far a step is, of what it counts and of the time it takes.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, label: "row"}
	p.step("connecting", 10).Add(4)
	p.say()
	p.lasting("sending", 5*time.Second)
	p.say()
	if got, want := out.String(), "row: connecting, 4 of 10, 0 s\nrow: sending, 0 s of 5 s\n"; got != want {
		t.Errorf("it says %q, not %q", got, want)
	}
}

// TestFamily: what this process has used is counted with its parent's family.
func TestFamily(t *testing.T) {
	own, err := processUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if of, err := familyCPU(os.Getppid()); err != nil || of < own.CPU {
		t.Errorf("the family has used %s, this process alone %s: %v", of, own.CPU, err)
	}
}

func TestFiles(t *testing.T) {
	if err := enoughFiles(math.MaxInt - spareFiles); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("ulimit -Hn %d", math.MaxInt)) {
		t.Errorf("a row of too many connections: %v", err)
	}
	if err := enoughFiles(-spareFiles); err != nil {
		t.Error(err)
	}
}

// TestLoopAllocates nothing, per frame that is read: the load leaves the processor to the server.
func TestLoopAllocates(t *testing.T) {
	const pages = 101
	ws, stream := endless{c: &client{}}, endless{c: &client{}}
	ws.c.says, ws.c.cut = &roomlog{}, cutFrame
	stream.c.says, stream.c.cut = roomlogStream{&roomlog{}}, cutEvent
	for i := range int64(pages) {
		page := pageFrame("page", 2*i, 2*i+2, 2*i+1, 2*i+2)
		ws.frames = append(ws.frames, frameOf(page))
		stream.frames = append(stream.frames, fmt.Appendf(nil, "event: page\nid: k\ndata: %s\n\n", page))
	}
	for name, e := range map[string]*endless{"a WebSocket": &ws, "a stream": &stream} {
		e.c.conn = e
		e.c.piece(4096)
		allocs := testing.AllocsPerRun(pages-1, func() {
			if err := e.c.read(); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 || e.c.got != 2*pages {
			t.Errorf("%s: %v allocations per page, %d events", name, allocs, e.c.got)
		}
	}
}

// endless gives one frame at a time.
type endless struct {
	net.Conn
	c      *client
	frames [][]byte
	next   int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.frames[e.next])
	e.next++
	return n, nil
}
