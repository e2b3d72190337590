package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// liar is a server inside the test, with a language of its own, that may not deliver what it
// should. It deceives its first reader, and all that come back.
type liar struct {
	listener net.Listener
	deceive  func(n int, text string) []string // the n-th delivery to that reader, from 1; nil: honest
	acks     func(seq int64) int64             // the seq that an ack says; nil: the right one
	conns    sync.WaitGroup

	mu      sync.Mutex
	logs    map[string][]string
	tags    map[string]int64
	readers map[string]map[*bufio.Writer]bool
	victim  *bufio.Writer
	told    int // deliveries to the victim
}

// liarTarget starts a liar for each run.
type liarTarget struct {
	called  string
	started *[]string
	deceive func(n int, text string) []string
	acks    func(seq int64) int64
}

func (t liarTarget) name() string { return t.called }
func (t liarTarget) can() ability { return resumes }
func (t liarTarget) built() error { return nil }

func (t liarTarget) start(context.Context) (server, error) {
	if t.started != nil {
		*t.started = append(*t.started, t.called)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &liar{listener: l, deceive: t.deceive, acks: t.acks,
		logs: map[string][]string{}, tags: map[string]int64{}, readers: map[string]map[*bufio.Writer]bool{}}
	s.conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // stopped
			}
			s.conns.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

func (s *liar) at() string { return s.listener.Addr().String() }

func (s *liar) usage() (usage, error) { return processUsage(os.Getpid()) }

// stop waits until every client has hung up.
func (s *liar) stop() error {
	err := s.listener.Close()
	s.conns.Wait()
	return err
}

func (s *liar) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReader(conn), bufio.NewWriter(conn)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
	}
	fmt.Fprint(w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
	w.Flush()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, readers := range s.readers {
			delete(readers, w)
		}
	}()
	for {
		text, err := readMasked(r)
		if err != nil {
			return
		}
		s.take(w, text)
	}
}

// readMasked reads a text frame of the bench, whose mask is zero.
func readMasked(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	n := int(head[1] & 127)
	if n == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return "", err
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	b := make([]byte, 4+n)
	_, err := io.ReadFull(r, b)
	return string(b[4:]), err
}

// take answers one frame: `join ROOM POSITION` or `send ROOM TAG DATA`.
func (s *liar) take(w *bufio.Writer, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op, rest, _ := strings.Cut(text, " ")
	name, rest, _ := strings.Cut(rest, " ")
	switch op {
	case "join":
		if s.readers[name] == nil {
			s.readers[name] = map[*bufio.Writer]bool{}
		}
		s.readers[name][w] = true
		if s.victim == nil {
			s.victim = w
		}
		s.say(w, "joined")
		if from, err := strconv.Atoi(rest); err == nil {
			s.victim, s.told = w, 0 // each that comes back: what it misses is delivered at once
			for _, data := range s.logs[name][from:] {
				s.deliver(w, data)
			}
		}
	case "send":
		tag, data, _ := strings.Cut(rest, " ")
		seq, again := s.tags[tag]
		if !again {
			s.logs[name] = append(s.logs[name], data)
			seq = int64(len(s.logs[name]))
			s.tags[tag] = seq
			for reader := range s.readers[name] {
				s.deliver(reader, data)
			}
		}
		if s.acks != nil {
			seq = s.acks(seq)
		}
		s.say(w, fmt.Sprint("ack ", seq))
	}
}

func (s *liar) deliver(w *bufio.Writer, data string) {
	texts := []string{data}
	if w == s.victim && s.deceive != nil {
		s.told++
		texts = s.deceive(s.told, data)
	}
	for _, text := range texts {
		s.say(w, "event "+text)
	}
}

func (s *liar) say(w *bufio.Writer, text string) {
	w.Write(frameOf(text))
	w.Flush() // a reader that has gone is found by its own goroutine
}

func (s *liar) token(context.Context, string) (string, error) { return "", nil }

func (s *liar) path(*client) string { return "/" }

func (s *liar) hello(c *client) error {
	if c.room == "" {
		c.entered = true
		return nil
	}
	return c.write("join " + c.room + " " + c.position)
}

func (s *liar) publish(b []byte, _ *client, e *send) []byte {
	return append(append(b, "send "+e.room+" "+e.tag+" "...), e.data...)
}

func (s *liar) look(c *client, frame []byte) error {
	switch {
	case bytes.HasPrefix(frame, []byte("event ")):
		err := c.bodies(frame)
		if c.keeps {
			c.position = strconv.FormatInt(c.got, 10)
		}
		return err
	case bytes.HasPrefix(frame, []byte("ack ")):
		seq, _, err := number(frame[4:])
		c.acked(seq)
		return err
	case bytes.HasPrefix(frame, []byte("joined")):
		c.entered = true
	}
	return nil
}

// swap holds the second delivery back until the next of the same sender, and gives it after that: of a target
// that does not number its events, it is the order of each sender that is checked.
func swap() func(n int, text string) []string {
	var held string
	return func(n int, text string) []string {
		sender, _, _ := strings.Cut(text, ",")
		switch {
		case n == 2:
			held = text
			return nil
		case held != "" && strings.HasPrefix(held, sender+","):
			both := []string{text, held}
			held = ""
			return both
		}
		return []string{text}
	}
}

func lose(n int, text string) []string {
	if n == 2 {
		return nil
	}
	return []string{text}
}

func double(n int, text string) []string {
	if n == 2 {
		return []string{text, text}
	}
	return []string{text}
}

func small(t *testing.T) Options {
	o := Options{Runs: 1, Duration: 50 * time.Millisecond, Readers: 3, Senders: 2, Rooms: 4, RoomsRate: 1000, Rejoin: 25, Missed: 20, Idle: 1, Rate: 1000}
	o.withDefaults()
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	return o
}

func scenarioOf(t *testing.T, name string) scenario {
	for _, s := range scenarios {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no row is named %s", name)
	return scenario{}
}

// TestLiars: a row fails where one reader of several is not given each event once and in order.
func TestLiars(t *testing.T) {
	for _, row := range []string{"fanout", "fanout-steady", "rooms-fanout", "rejoin", "rejoin-one-room"} {
		sc := scenarioOf(t, row)
		if rows, err := measure(t.Context(), sc, []target{liarTarget{called: "honest"}}, small(t)); err != nil || len(rows) != 1 || len(rows[0].Figures) < 3 {
			t.Errorf("%s, an honest server: %v, %v", row, rows, err)
		}
		for name, deceive := range map[string]func(int, string) []string{"loses": lose, "doubles": double, "reorders": swap()} {
			_, err := measure(t.Context(), sc, []target{liarTarget{called: name, deceive: deceive}}, small(t))
			if err == nil || !strings.Contains(err.Error(), "lost, doubled or reordered") {
				t.Errorf("%s, a server that %s an event: %v", row, name, err)
			}
		}
	}
}

// TestLyingAcks: a row of sends fails where the acks of a room are not 1, 2, 3 …, or a repeat is stored again.
func TestLyingAcks(t *testing.T) {
	for name, acks := range map[string]func(int64) int64{
		"skips one":  func(seq int64) int64 { return seq + seq/4 },
		"says twice": func(seq int64) int64 { return max(seq-1, 1) },
	} {
		_, err := measure(t.Context(), scenarioOf(t, "sends-one-room"), []target{liarTarget{called: name, acks: acks}}, small(t))
		if err == nil || !strings.Contains(err.Error(), "lost or doubled") {
			t.Errorf("a server whose acks are not dense (%s): %v", name, err)
		}
	}
	repeats := scenarioOf(t, "sends-repeats")
	repeats.needs = 0
	if _, err := measure(t.Context(), repeats, []target{liarTarget{called: "honest"}}, small(t)); err != nil {
		t.Errorf("repeats, an honest server: %v", err)
	}
	said := make(map[int64]bool)
	forgetful := func(seq int64) int64 {
		if said[seq] {
			return seq + 1000
		}
		said[seq] = true
		return seq
	}
	if _, err := measure(t.Context(), repeats, []target{liarTarget{called: "forgets tags", acks: forgetful}}, small(t)); err == nil || !strings.Contains(err.Error(), "doubled") {
		t.Errorf("a server that stores a repeat: %v", err)
	}
}

// TestInTurn: within a row every target runs once before one runs again.
func TestInTurn(t *testing.T) {
	var started []string
	o := small(t)
	o.Runs = 2
	rows, err := measure(t.Context(), scenarioOf(t, "sends-one-room"), []target{liarTarget{called: "a", started: &started}, liarTarget{called: "b", started: &started}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(started, " "); got != "a b a b" {
		t.Errorf("the targets ran as %s", got)
	}
	if len(rows) != 2 || rows[0].Target != "a" || rows[1].Target != "b" || len(rows[0].Figures[0].Values) != 2 {
		t.Errorf("the rows are %+v", rows)
	}
	if rows, err := measure(t.Context(), scenarioOf(t, "rejoin-cold"), []target{liarTarget{called: "a"}}, o); err != nil || len(rows) != 0 {
		t.Errorf("a target that cannot be started anew gives %v: %v", rows, err)
	}
}
