package transport

import (
	"bufio"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// leavers of each transport; the others are the same server's, so that all share one span.
const (
	leavingSockets = 160
	leavingStreams = 20
	leavingPolls   = 20
)

// CLOSE-10, CLOSE-11, SSE-10, POLL-7: two hundred clients of every transport are told to come back over the time that is
// configured, and every part of it is given to as many.
func TestThoseWhoLeaveComeBackEvenly(t *testing.T) {
	const over = 8 * time.Second
	f := start(t, options{server: func(c *Config) { c.DrainOver = over }})
	sockets := make([]*peer, leavingSockets)
	for i := range sockets {
		sockets[i] = f.login("u" + strconv.Itoa(i))
	}
	streams := make([]*bufio.Reader, leavingStreams)
	for i := range streams {
		p := f.dialRaw("GET /v1/sse?room=chat:a HTTP/1.1\r\nHost: roomlog\r\nAuthorization: Bearer " + f.token("s"+strconv.Itoa(i)) + "\r\n\r\n")
		streams[i] = bufio.NewReader(p.response().Body)
		for line := ""; line != "event: ready\n"; {
			var err error
			line, err = streams[i].ReadString('\n')
			must(t, err)
		}
	}
	polls := make(chan answer, leavingPolls)
	for i := range leavingPolls {
		go func() {
			polls <- f.request("GET", "/v1/rooms/chat:a/events?after=0&wait=50", f.token("p"+strconv.Itoa(i)), "")
		}()
	}
	waiting := func() (n int) {
		for _, g := range f.srv.roster.of("") {
			if g.kind == "poll" {
				n++
			}
		}
		return n
	}
	eventually(t, "all polls wait", func() bool { return waiting() == leavingPolls })
	f.stop()

	var told []int
	for _, p := range sockets {
		ms, _ := p.expectError(room.CodeGoingAway)["retry_after_ms"].(float64)
		p.expectClose(1012)
		told = append(told, int(ms))
	}
	for _, r := range streams {
		told = append(told, lastRetry(t, r))
	}
	for range leavingPolls {
		a := <-polls
		ms, _ := a.body["retry_after_ms"].(float64)
		if after, _ := strconv.Atoi(a.header.Get("Retry-After")); a.status != http.StatusServiceUnavailable || a.code() != "going_away" || after < 1 {
			t.Errorf("a poll that waits: %d %s, Retry-After %q", a.status, a.text, a.header.Get("Retry-After"))
		}
		told = append(told, int(ms))
	}
	judgeSpread(t, told, over)
}

// judgeSpread wants as many in each twentieth of the time as in any other, within a few.
func judgeSpread(t *testing.T, told []int, over time.Duration) {
	t.Helper()
	const parts = 20
	var of [parts]int
	for _, ms := range told {
		if ms < 1 || ms > int(over.Milliseconds())+1 {
			t.Fatalf("told to come back in %d ms", ms)
		}
		of[min((ms-1)*parts/int(over.Milliseconds()), parts-1)]++
	}
	due := len(told) / parts
	if least, most := slices.Min(of[:]), slices.Max(of[:]); least < due-3 || most > due+3 {
		t.Errorf("of %d clients each twentieth of the time is to have about %d: %v", len(told), due, of)
	}
}

// lastRetry reads a stream to its end and gives the last retry in it.
func lastRetry(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	retry := 0
	for {
		line, err := r.ReadString('\n')
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "retry: "); ok {
			retry, _ = strconv.Atoi(text)
		}
		if err != nil {
			return retry
		}
	}
}

// A server that is about to go away is not ready, and serves: what a balancer needs to take it out first.
func TestDrainIsNotReadyAndServes(t *testing.T) { // HTTP-13
	f := start(t, options{})
	p := f.login("u1")
	if a := f.request("GET", "/readyz", "", ""); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	f.srv.Drain()
	if a := f.request("GET", "/readyz", "", ""); a.status != http.StatusServiceUnavailable || a.code() != "going_away" {
		t.Error(a.text)
	}
	f.post("u1", "chat:a", 1, "1", http.StatusCreated)
	p.sendf(`{"op":"join","room":"chat:a"}`)
	p.expect("joined")
	f.login("u2")
}
