package transport

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"roomlog/server/room"
)

// away is the network of the nth client.
func away(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

// LIM-11: of those who come at once as many as may be are let in; each of the others is told its own time, one after the
// other, and let in when it comes then, though as many others come in between.
func TestSlotsAreGivenInTurnAndKept(t *testing.T) {
	const rate, burst, herd = 100, 10, 510
	s := newSlots(Limits{AcceptsPerSecond: rate, AcceptBurst: burst}.withDefaults())
	began := time.Unix(1700000000, 0)
	var due []time.Duration
	for n := range herd {
		wait := s.take(away(n), began)
		if n < burst && wait != 0 {
			t.Fatalf("number %d is to wait %v", n, wait)
		}
		if n >= burst {
			want := time.Duration(n-burst+1) * time.Second / rate
			if d := wait - want; d < -time.Millisecond || d > time.Millisecond {
				t.Fatalf("number %d is to wait %v, not %v", n, wait, want)
			}
			due = append(due, wait)
		}
	}
	if n := s.waiting(); n != herd-burst {
		t.Errorf("%d slots are kept", n)
	}
	for i, wait := range due {
		now := began.Add(wait)
		if i == len(due)-1 {
			now = now.Add(slotKept) // as late as one may be
		} else if again := s.take(away(herd+i), now); again == 0 {
			t.Fatalf("after %v a newcomer is let in before those who wait", wait)
		}
		if again := s.take(away(burst+i), now); again != 0 {
			t.Fatalf("number %d came as told, after %v, and is to wait %v more", burst+i, wait, again)
		}
	}
	s.sweep(began.Add(10 * time.Minute))
	if n := s.waiting(); n != 0 {
		t.Errorf("%d slots are kept of those who never came", n)
	}
}

// LIM-11: nobody is told to wait longer than half a minute, and one address cannot fill the line.
func TestSlotsAreBounded(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := newSlots(Limits{AcceptsPerSecond: 1, AcceptBurst: 1}.withDefaults())
	for n := range 1000 {
		if wait := s.take(away(n), now); wait > slotMost || n > 0 && wait < time.Second/2 {
			t.Fatalf("number %d is to wait %v", n, wait)
		}
	}
	if n := s.waiting(); n > int(slotMost/time.Second) {
		t.Errorf("%d slots in a line of %v", n, slotMost)
	}
	s = newSlots(Limits{AcceptsPerSecond: 10, AcceptBurst: 1, ConnectionsPerAddress: 5}.withDefaults())
	for range 1000 {
		s.take(away(1), now)
	}
	if wait := s.take(away(2), now); wait > 700*time.Millisecond {
		t.Errorf("behind one address that asks all the time another is to wait %v", wait)
	}
}

// LIM-11 on the wire: a WebSocket is told over itself, by whichever way it is opened, a stream by its status, and one that
// is taken up again by what an EventSource goes by; whoever comes when told is let in.
func TestThoseWhoComeAtOnceAreToldWhen(t *testing.T) {
	for _, way := range []string{"gate", "net/http"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			const each = 2 * time.Second // time enough for two to come, and for those who are refused after them
			f := start(t, options{server: func(c *Config) { c.Limits.AcceptsPerSecond, c.Limits.AcceptBurst = 1/each.Seconds(), 2 }})
			if way == "gate" {
				f.gated(0)
			}
			a, b := f.login("u1"), f.login("u2")
			p := f.dial()
			m := p.expectError(room.CodeOverloaded)
			ms, _ := m["retry_after_ms"].(float64)
			if ms < 1 || ms > float64(each.Milliseconds()) || m["retryable"] != true {
				t.Errorf("told %v", m)
			}
			if reason := p.expectClose(4002); reason != "overloaded" {
				t.Errorf("reason %q", reason)
			}
			stream := f.request("GET", "/v1/sse?room=chat:a", f.token("u3"), "")
			if after, _ := strconv.Atoi(stream.header.Get("Retry-After")); stream.status != http.StatusServiceUnavailable || stream.code() != "overloaded" || after < 1 {
				t.Errorf("a stream: %d %s", stream.status, stream.text)
			}
			again := f.request("GET", "/v1/sse?room=chat:a", f.token("u3"), "", "Last-Event-ID: 0")
			var retry int
			if n, err := fmt.Sscanf(again.text, "retry: %d\n\n", &retry); n != 1 || err != nil || retry < 1 || again.status != http.StatusOK || again.header.Get("Content-Type") != "text/event-stream" {
				t.Errorf("a stream that is taken up again: %d %q", again.status, again.text)
			}
			<-time.After(time.Duration(ms) * time.Millisecond) // as it was told
			f.login("u4")
			f.post("u1", "chat:a", 1, "1", http.StatusCreated) // sends and reads are not held up
			for _, p := range []*peer{a, b} {
				p.sendf(`{"op":"ping"}`)
				p.expect("pong")
			}
			if n := f.srv.Refused()[limitAccepts]; n != 3 {
				t.Errorf("%d refusals counted", n)
			}
			if _, err := p.br.ReadByte(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}
