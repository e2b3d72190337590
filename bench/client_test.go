package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// frameOf is a text frame as a server sends it.
func frameOf(text string) []byte {
	b := []byte{0x81}
	switch n := len(text); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, text...)
}

func TestCutFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		text := strings.Repeat("x", n)
		whole := frameOf(text)
		for _, short := range []int{1, 2, n/2 + 2} {
			if payload, rest, ok, err := cutFrame(whole[:len(whole)-min(short, len(whole))]); ok || err != nil || payload != nil || len(rest) != len(whole)-min(short, len(whole)) {
				t.Errorf("a frame of %d without its last %d bytes: ok %t, %v", n, short, ok, err)
			}
		}
		payload, rest, ok, err := cutFrame(append(slices.Clone(whole), "next"...))
		if !ok || err != nil || string(payload) != text || string(rest) != "next" {
			t.Errorf("a frame of %d: %d bytes, then %q: %t, %v", n, len(payload), rest, ok, err)
		}
	}
	if _, _, _, err := cutFrame([]byte{0x88, 2, 3, 0xf4}); err != io.EOF {
		t.Errorf("a close: %v", err)
	}
	for name, b := range map[string][]byte{
		"binary": {0x82, 0}, "a fragment": {0x01, 0}, "compressed": {0xc1, 0}, "masked": {0x81, 0x81, 0, 0, 0, 0, 'x'},
		"endless": {0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "too long": {0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		if _, _, ok, err := cutFrame(b); ok || err == nil {
			t.Errorf("a frame that is %s passes", name)
		}
	}
}

func pageFrame(op string, prev, seq int64, events ...int64) string {
	var list []string
	for _, e := range events {
		list = append(list, fmt.Sprintf(`{"room":"bench:a","seq":%d,"type":"message","author":"u","tag":"t","at":"x","data":%s}`, e, appendBody(nil, 1, e, bodyBytes)))
	}
	return fmt.Sprintf(`{"op":"%s","room":"bench:a","epoch":"k","prev":%d,"seq":%d,"position":"k:%d:0","events":[%s]}`,
		op, prev, seq, seq, strings.Join(list, ","))
}

// TestLook: a lost, doubled or reordered event is noticed, between pages and within one (PAGE-1, PAGE-6).
func TestLook(t *testing.T) {
	joined := `{"op":"joined","id":1,"room":"bench:a","epoch":"k","floor":1,"head":5,"page":` + pageFrame("x", 3, 5, 4, 5) + `}`
	c := &client{}
	s := &roomlog{}
	for _, frame := range []string{joined, pageFrame("page", 5, 6, 6), pageFrame("page", 6, 9, 7, 8, 9), pageFrame("page", 9, 9), `{"op":"welcome"}`, `{"op":"pong"}`} {
		if err := s.look(c, []byte(frame)); err != nil {
			t.Fatalf("%.80s: %v", frame, err)
		}
	}
	if c.seq != 9 || c.got != 6 {
		t.Errorf("the client stands at %d and has %d events, not at 9 with 6", c.seq, c.got)
	}
	for name, frame := range map[string]string{
		"a lost page":       pageFrame("page", 10, 11, 11),
		"a doubled page":    pageFrame("page", 8, 9, 9),
		"a lost event":      pageFrame("page", 9, 12, 10, 12),
		"the last one lost": pageFrame("page", 9, 11, 10),
		"a doubled event":   pageFrame("page", 9, 11, 10, 10, 11),
		"reordered events":  pageFrame("page", 9, 11, 11, 10),
		"one too many":      pageFrame("page", 9, 10, 10, 11),
		"an empty promise":  pageFrame("page", 9, 10),
		"no prev":           `{"op":"page","seq":10,"events":[]}`,
		"an error":          `{"op":"error","code":"rate_limited"}`,
		"a reset":           `{"op":"reset","reason":"ahead"}`,
	} {
		seq, got := c.seq, c.got
		if err := s.look(c, []byte(frame)); err == nil {
			t.Errorf("%s is not noticed", name)
		}
		if c.seq != seq || c.got != got {
			t.Errorf("%s moved the client", name)
		}
	}
}

// TestRead gives the same frames however the bytes are cut.
func TestRead(t *testing.T) {
	texts := []string{"a", strings.Repeat("b", 200), "", strings.Repeat("c", 70_000), "d"}
	var stream []byte
	for _, text := range texts {
		stream = append(stream, frameOf(text)...)
	}
	for _, size := range []int{1, 2, 3, 7, 127, 4096, 1 << 20} {
		near, far := net.Pipe()
		go func() {
			for chunk := range slices.Chunk(stream, size) {
				if _, err := far.Write(chunk); err != nil {
					return // the reader has given up, and says why
				}
			}
			far.Close()
		}()
		c := &client{conn: near, cut: cutFrame, says: dialectFunc(func(*client, []byte) error { return nil })}
		var got []string
		c.seen = func(frame []byte) { got = append(got, string(frame)) }
		var err error
		for c.piece(5000); err == nil; {
			err = c.read()
		}
		near.Close()
		if err != io.EOF || !slices.Equal(got, texts) || len(c.buf) != 0 {
			t.Errorf("in pieces of %d: %d frames and %d bytes left: %v", size, len(got), len(c.buf), err)
		}
	}
}

// TestSend writes frames that a server reads as they were given.
func TestSend(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		near, far := net.Pipe()
		text := strings.Repeat("x", n)
		sent := make(chan error, 1)
		go func() { sent <- (&client{conn: near}).write(text) }()
		head := 6
		if n > 125 {
			head = 8
		}
		if n > 65535 {
			head = 14
		}
		frame := make([]byte, head+n)
		if _, err := io.ReadFull(far, frame); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil || frame[0] != 0x81 || frame[1]&0x80 == 0 || string(frame[head:]) != text {
			t.Errorf("a text of %d: frame begins %x: %v", n, frame[:head], err)
		}
	}
}

// dialectFunc looks at frames, and says nothing.
type dialectFunc func(c *client, frame []byte) error

func (dialectFunc) token(context.Context, string) (string, error) { return "", nil }

func (dialectFunc) path(*client) string { return "/" }

func (dialectFunc) hello(*client) error { return nil }

func (dialectFunc) publish(b []byte, _ *client, s *send) []byte { return append(b, s.data...) }

func (f dialectFunc) look(c *client, frame []byte) error { return f(c, frame) }
