package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// wsCase is what a client's bytes after the handshake lead to: frames, and then a close.
type wsCase struct {
	name  string
	bytes []byte
	want  []string // first byte and payload of each
	close uint16
	login bool // it has said hello
}

const gotPong = "\x81" + `{"op":"pong"}`

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// padded is a ping of the protocol as a text of n bytes, of which the server answers the meaning.
func padded(n int) []byte {
	const ping = `{"op":"ping"}`
	return []byte(ping + strings.Repeat(" ", n-len(ping)))
}

// pieces is a message in fragments of at most size bytes.
func pieces(message []byte, size int) (frames []byte) {
	for first := byte(1); ; first = 0 {
		if len(message) <= size {
			return append(frames, frame(0x80|first, message)...)
		}
		frames = append(frames, frame(first, message[:size])...)
		message = message[size:]
	}
}

// The table of RFC 6455, by the groups of cases of the Autobahn suite: 1 to 7, 9 and 10, 12 and 13. (8 and 11
// are empty there.) CLOSE-4, CLOSE-5, CLOSE-6.
func TestRFC6455(t *testing.T) {
	f := start(t, options{})
	for group, cases := range rfc6455() {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) { f.run(t, c) })
		}
	}
}

func rfc6455() map[string][]wsCase {
	return map[string][]wsCase{
		"1 framing": framingCases(), "2 pings and pongs": pingCases(), "3 reserved bits": reservedCases(), "4 opcodes": opcodeCases(),
		"5 fragmentation": fragmentCases(), "6 UTF-8": textCases(), "7 close": closeCases(), "9 limits": limitCases(),
		"10 automatic fragmentation": {
			{name: "64 KiB in 1,300s", bytes: pieces(padded(1<<16), 1300), want: []string{gotPong}, close: 1000, login: true},
		},
		// A bit that only permessage-deflate gives a meaning; that it is not taken when it is offered is in TestHandshake.
		"12 compression, not agreed on":               {{name: "compressed", bytes: frame(0xc1, []byte{0xaa, 0, 0}), close: 1002}},
		"13 parameters of compression, not agreed on": {{name: "compressed in fragments", bytes: frame(0x41, []byte{0xaa}), close: 1002}},
	}
}

// run sends a case's bytes at once and in small pieces.
func (f *fixture) run(t *testing.T, c wsCase) {
	for _, split := range []int{len(c.bytes), 1, 3} {
		if split < 1 || split < 4 && len(c.bytes) > 4096 {
			continue
		}
		p := f.dial()
		if c.login {
			p = f.login("u1")
		}
		p.t = t
		go func() {
			for rest := c.bytes; len(rest) > 0; {
				n := min(split, len(rest))
				if _, err := p.nc.Write(rest[:n]); err != nil {
					return // the server has ended it already
				}
				rest = rest[n:]
			}
		}()
		for _, want := range c.want {
			if op, payload := p.next(); op != want[0] || string(payload) != want[1:] {
				t.Fatalf("in pieces of %d: frame %#x %q, want %q", split, op, payload, want)
			}
		}
		if c.login && c.close == closeNormal { // an answer of the hub may be lost to a close that comes before it
			p.write(frame(0x88, nil))
		}
		p.expectClose(c.close)
	}
}

func framingCases() []wsCase {
	cases := []wsCase{
		{name: "CLOSE-4 unmasked", bytes: []byte{0x81, 0x02, '{', '}'}, close: 1002},
		{name: "CLOSE-4 binary", bytes: frame(0x82, []byte("{}")), close: 1003},
		{name: "CLOSE-4 empty binary", bytes: frame(0x82, nil), close: 1003},
	}
	for _, n := range []int{13, 125, 126, 127, 128, 65535, 65536} {
		cases = append(cases, wsCase{name: fmt.Sprintf("text of %d bytes", n), bytes: frame(0x81, padded(n)), want: []string{gotPong}, close: 1000, login: true})
	}
	return cases
}

func pingCases() []wsCase {
	bye := frame(0x88, nil)
	most := strings.Repeat("x", 125)
	return []wsCase{
		{name: "BEAT-2 empty", bytes: join(frame(0x89, nil), bye), want: []string{"\x8a"}, close: 1000},
		{name: "BEAT-2 of 125 bytes", bytes: join(frame(0x89, []byte(most)), bye), want: []string{"\x8a" + most}, close: 1000},
		{name: "BEAT-2 of no text", bytes: join(frame(0x89, []byte{0, 0xff, 0xfe}), bye), want: []string{"\x8a\x00\xff\xfe"}, close: 1000},
		{name: "CLOSE-4 of 126 bytes", bytes: frame(0x89, make([]byte, 126)), close: 1002},
		{name: "a pong nobody asked for", bytes: join(frame(0x8a, nil), frame(0x8a, []byte("x")), frame(0x89, []byte("y")), bye), want: []string{"\x8ay"}, close: 1000},
		{name: "several, in their order", bytes: join(frame(0x89, []byte("1")), frame(0x89, []byte("2")), frame(0x89, []byte("3")), bye), want: []string{"\x8a1", "\x8a2", "\x8a3"}, close: 1000},
	}
}

func reservedCases() []wsCase {
	return []wsCase{
		{name: "CLOSE-4 rsv1", bytes: frame(0xc1, []byte("{}")), close: 1002},
		{name: "CLOSE-4 rsv2", bytes: frame(0xa1, []byte("{}")), close: 1002},
		{name: "CLOSE-4 rsv3", bytes: frame(0x91, []byte("{}")), close: 1002},
		{name: "CLOSE-4 all, after a message", bytes: join(frame(0x81, padded(13)), frame(0xf1, nil)), want: []string{gotPong}, close: 1002},
		{name: "CLOSE-4 on a ping", bytes: frame(0xd9, nil), close: 1002},
		{name: "CLOSE-4 on a close", bytes: frame(0xf8, nil), close: 1002},
	}
}

func opcodeCases() (cases []wsCase) {
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases = append(cases, wsCase{name: fmt.Sprintf("CLOSE-4 %d", op), bytes: frame(0x80|op, nil), close: 1002},
			wsCase{name: fmt.Sprintf("CLOSE-4 %d, after a message", op), bytes: join(frame(0x81, padded(13)), frame(0x80|op, []byte("x"))), want: []string{gotPong}, close: 1002})
	}
	return cases
}

func fragmentCases() []wsCase {
	bye := frame(0x88, nil)
	return []wsCase{
		{name: "CLOSE-4 ping", bytes: frame(0x09, nil), close: 1002},
		{name: "CLOSE-4 pong", bytes: frame(0x0a, nil), close: 1002},
		{name: "CLOSE-4 close", bytes: frame(0x08, nil), close: 1002},
		{name: "CLOSE-4 continuation of nothing", bytes: frame(0x80, []byte("x")), close: 1002},
		{name: "CLOSE-4 unfinished continuation of nothing", bytes: frame(0x00, []byte("x")), close: 1002},
		{name: "CLOSE-4 continuation after a message", bytes: join(pieces(padded(20), 7), frame(0x80, []byte("x"))), want: []string{gotPong}, close: 1002},
		{name: "CLOSE-4 text inside", bytes: join(frame(0x01, []byte(`{"op"`)), frame(0x81, []byte("{}"))), close: 1002},
		{name: "CLOSE-4 binary", bytes: frame(0x02, []byte("{}")), close: 1003},
		{name: "text", bytes: join(pieces(padded(30), 4), bye), want: []string{gotPong}, close: 1000},
		{name: "empty ones", bytes: join(frame(0x01, nil), frame(0x00, nil), frame(0x80, padded(13)), bye), want: []string{gotPong}, close: 1000},
		{name: "pings between", bytes: join(frame(0x01, []byte(`{"op":`)), frame(0x89, []byte("1")), frame(0x00, []byte(`"ping"`)), frame(0x89, []byte("2")), frame(0x80, []byte(`}`)), bye), want: []string{"\x8a1", "\x8a2", gotPong}, close: 1000},
	}
}

func textCases() []wsCase {
	bye := frame(0x88, nil)
	good := []byte(`{"op":"ping","client":"é漢😀\u0000` + "\u007f\U0010ffff" + `"}`)
	cases := []wsCase{
		{name: "good", bytes: join(frame(0x81, good), bye), want: []string{gotPong}, close: 1000},
		{name: "good, broken everywhere", bytes: join(pieces(good, 1), bye), want: []string{gotPong}, close: 1000},
		{name: "CLOSE-4 told in the first fragment", bytes: frame(0x01, []byte("\"\xf8")), close: 1007},
		{name: "CLOSE-4 half a rune at the end", bytes: join(frame(0x01, []byte("\"\xc3")), frame(0x80, nil)), close: 1007},
		{name: "CLOSE-4 a rune broken over fragments", bytes: join(frame(0x01, []byte("\"\xe2\x82")), frame(0x00, []byte("\"")), frame(0x80, nil)), close: 1007},
	}
	for name, text := range map[string]string{
		"a byte of none": "\xff", "a continuation alone": "\x80", "overlong slash": "\xc0\xaf", "overlong NUL": "\xe0\x80\x80",
		"surrogate": "\xed\xa0\x80", "pair of surrogates": "\xed\xa0\x80\xed\xb0\x80", "above U+10FFFF": "\xf4\x90\x80\x80", "five bytes": "\xf8\x88\x80\x80\x80",
	} {
		cases = append(cases, wsCase{name: "CLOSE-4 " + name, bytes: frame(0x81, []byte(`"`+text+`"`)), close: 1007})
	}
	return cases
}

func closeCases() []wsCase {
	ping := frame(0x81, padded(13))
	code := func(n int, reason string) []byte {
		return frame(0x88, append([]byte{byte(n >> 8), byte(n)}, reason...))
	}
	cases := []wsCase{
		{name: "CLOSE-6 without code", bytes: join(ping, frame(0x88, nil)), want: []string{gotPong}, close: 1000},
		{name: "CLOSE-6 with the longest reason", bytes: code(1000, strings.Repeat("x", 123)), close: 1000},
		{name: "CLOSE-6 everything after it is ignored", bytes: join(code(1000, ""), ping, frame(0x89, nil), []byte{0xff, 0xff}), close: 1000},
		{name: "CLOSE-6 another one is ignored", bytes: join(code(1001, ""), code(1000, "")), close: 1001},
		{name: "CLOSE-6 inside a message", bytes: join(frame(0x01, []byte("{")), code(1000, "")), close: 1000},
		{name: "CLOSE-4 of one byte", bytes: frame(0x88, []byte{3}), close: 1002},
		{name: "CLOSE-4 too long a reason", bytes: code(1000, strings.Repeat("x", 124)), close: 1002},
		{name: "CLOSE-4 a reason that is not UTF-8", bytes: code(1000, "\xff"), close: 1007},
	}
	for _, n := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, wsCase{name: fmt.Sprintf("CLOSE-6 %d is echoed", n), bytes: join(ping, code(n, "going")), want: []string{gotPong}, close: uint16(n)})
	}
	for _, n := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, wsCase{name: fmt.Sprintf("CLOSE-4 %d, which nobody may send", n), bytes: code(n, ""), close: 1002})
	}
	return cases
}

func limitCases() []wsCase {
	return []wsCase{
		{name: "1 MiB", bytes: frame(0x81, padded(1<<20)), want: []string{gotPong}, close: 1000, login: true},
		{name: "1 MiB in fragments", bytes: pieces(padded(1<<20), 1<<16), want: []string{gotPong}, close: 1000, login: true},
		{name: "CLOSE-5 more in fragments", bytes: pieces(padded(1<<20+1), 1<<16), close: 1009, login: true},
		{name: "CLOSE-5 more, announced", bytes: []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1}, close: 1009, login: true},
		{name: "CLOSE-5 length 2^63-1", bytes: []byte{0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255}, close: 1009},
		{name: "CLOSE-5 length with the highest bit", bytes: []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, close: 1002},
		{name: "CLOSE-5 more than a stranger may say", bytes: []byte{0x81, 0xfe, 0x40, 0x01}, close: 1009},
		{name: "CLOSE-5 more than a stranger may say in fragments", bytes: join(frame(0x01, make([]byte, 16<<10)), frame(0x80, []byte("x"))), close: 1009},
	}
}
