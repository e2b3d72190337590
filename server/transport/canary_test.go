package transport

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// flow writes numbered events to a room, one after the other, until it is stopped.
type flow struct {
	f    *fixture
	room room.ID
	n    atomic.Int64 // the number of the event that was begun last
	quit chan struct{}
	done chan struct{}
}

func (f *fixture) flow(id room.ID) *flow {
	w := &flow{f: f, room: id, quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.quit:
				return
			default:
				w.write()
			}
		}
	}()
	return w
}

func (w *flow) write() {
	answered := make(chan hub.Outcome, 1)
	w.f.hub.Submit(hub.Submit{Send: numbered(w.room, w.n.Add(1))}, func(o hub.Outcome) { answered <- o })
	<-answered
}

// reach waits until n events are begun.
func (w *flow) reach(n int64) {
	eventually(w.f.t, "events are written", func() bool { return w.n.Load() >= n })
}

func (w *flow) stop() {
	close(w.quit)
	<-w.done
}

var numbers atomic.Uint64

// numbered is an event whose data is a number.
func numbered(id room.ID, n int64) room.Send {
	var tag room.Tag
	binary.BigEndian.PutUint64(tag[8:], numbers.Add(1))
	return room.Send{Room: id, Author: "writer", Tag: tag, Type: "message", Data: fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", 400))}
}

// victim lets a user in by one transport, and returns what reads a room by it until it is refused: that reports
// the number of each event it is given, and returns the code that refused it. other is a room that it reads as
// well, where the transport can: a page of it says that all that was to come has come.
type victim func(f *fixture, user string, id, other room.ID) follow

type follow func(saw func(n int64) bool) (room.Code, error)

var victims = map[string]victim{
	"socket live":   func(f *fixture, u string, id, o room.ID) follow { return f.victimSocket(u, id, o, false) },
	"socket replay": func(f *fixture, u string, id, o room.ID) follow { return f.victimSocket(u, id, o, true) },
	"stream live":   func(f *fixture, u string, id, _ room.ID) follow { return f.victimStream(u, id, false) },
	"stream resume": func(f *fixture, u string, id, _ room.ID) follow { return f.victimStream(u, id, true) },
	"history": func(f *fixture, u string, id, _ room.ID) follow {
		return f.victimPoll(u, id, "before=9007199254740991&limit=20")
	},
	"poll": func(f *fixture, u string, id, _ room.ID) follow { return f.victimPoll(u, id, "wait=50") },
}

type page struct {
	Op, Code, Room, Position string
	Page                     *page
	Events                   []struct{ Data struct{ N int64 } }
}

// report shows what a page holds; errCanary: that was enough.
func (p *page) report(saw func(int64) bool) error {
	for _, e := range p.Events {
		if !saw(e.Data.N) {
			return errCanary
		}
	}
	if p.Page != nil {
		return p.Page.report(saw)
	}
	return nil
}

var errCanary = errors.New("I17: an event was given that was begun after the answer")

func (f *fixture) victimSocket(user string, id, other room.ID, replay bool) follow {
	token, position := f.token(user), ""
	p := f.login(user)
	if replay {
		position = `,"position":"0"`
	}
	p.sendf(`{"op":"join","room":%q}`, other)
	p.expect("joined")
	return func(saw func(int64) bool) (code room.Code, err error) {
		// Where the connection is cut already, reading says so.
		_, _ = p.nc.Write(frame(0x81, fmt.Appendf(nil, `{"op":"join","room":%q%s}`, id, position)))
		for {
			op, payload, err := p.read()
			if replay && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				// It was full when it was cut, maybe within a frame, and could be told nothing (CLOSE-3): it hears why when it comes back.
				return room.Code(f.request("GET", "/v1/rooms/"+string(id)+"/events", token, "").code()), nil
			}
			if err != nil {
				return code, err
			}
			if op == 0x88 {
				if binary.BigEndian.Uint16(payload) != closeRevoked || string(payload[2:]) != string(code) {
					return code, fmt.Errorf("close %q after %s", payload, code)
				}
				return code, nil
			}
			var frame page
			if err := json.Unmarshal(payload, &frame); err != nil {
				return code, err
			}
			switch {
			case frame.Op == "error":
				code = room.Code(frame.Code)
			case frame.Op == "page" && frame.Room == string(other):
				return code, nil
			default:
				if err := frame.report(saw); err != nil {
					return code, err
				}
			}
		}
	}
}

// victimStream reads a stream; with resume it hangs up after each page and comes back with its id.
func (f *fixture) victimStream(user string, id room.ID, resume bool) follow {
	token, last := f.token(user), ""
	return func(saw func(int64) bool) (room.Code, error) {
		for {
			r, err := http.NewRequest("GET", f.http.URL+"/v1/sse?room="+string(id), nil)
			if err != nil {
				return "", err
			}
			r.Header.Set("Authorization", "Bearer "+token)
			if last != "" {
				r.Header.Set("Last-Event-ID", last)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if errors.Is(err, io.EOF) {
				continue // cut between the placing of its cursors and the first byte: come back
			}
			if err != nil {
				return "", err
			}
			if resp.StatusCode != http.StatusOK {
				var problem struct{ Code room.Code }
				err := json.NewDecoder(resp.Body).Decode(&problem)
				return problem.Code, errors.Join(err, resp.Body.Close())
			}
			lines := newReader(resp.Body)
			for hungUp := false; !hungUp; {
				line, err := lines.ReadString('\n')
				if err != nil {
					break // it has ended: come back
				}
				if text, ok := strings.CutPrefix(line, "id: "); ok {
					last = strings.TrimSpace(text)
				}
				if text, ok := strings.CutPrefix(line, "data: {\"room\""); ok {
					var p page
					if err := json.Unmarshal([]byte(`{"room"`+text), &p); err != nil {
						return "", err
					}
					if err := p.report(saw); err != nil {
						return "", errors.Join(err, resp.Body.Close())
					}
					hungUp = resume
				}
			}
			_ = resp.Body.Close()
		}
	}
}

func (f *fixture) victimPoll(user string, id room.ID, query string) follow {
	token, after := f.token(user), "after=0&"
	if strings.Contains(query, "before") {
		after = ""
	}
	return func(saw func(int64) bool) (room.Code, error) {
		for {
			a := f.request("GET", "/v1/rooms/"+string(id)+"/events?"+after+query, token, "")
			if a.status != http.StatusOK {
				return room.Code(a.code()), nil
			}
			var p page
			if err := json.Unmarshal([]byte(a.text), &p); err != nil {
				return "", err
			}
			if err := p.report(saw); err != nil {
				return "", err
			}
			if after != "" {
				after = "after=" + p.Position + "&"
			}
		}
	}
}

// I17, I19, ACC-3, ACC-4: after the route has answered, nothing that is committed later reaches who was kept out, by
// any transport, also where it was under way.
func TestNothingReachesWhoIsKeptOut(t *testing.T) {
	const rounds = 6
	f := start(t, options{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, read := range victims {
		for _, act := range []string{"ban", "revoke", "block"} {
			t.Run(name+" "+act, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, uint64(len(name)*100+len(act))))
				for round := range rounds {
					at := fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(name, " ", "-"), act, round)
					f.keepOut(t, at, act, read, int64(1+rng.IntN(12)))
				}
			})
		}
	}
}

// keepOut takes access back after a number of events.
func (f *fixture) keepOut(t *testing.T, at, act string, read victim, after int64) {
	t.Helper()
	id, other, user := room.ID("chat:"+at), room.ID("chat:other-"+at), "victim "+at
	if strings.Contains(at, "replay") {
		backlog := make([]room.Send, 1000)
		for i := range backlog {
			backlog[i] = numbered(id, 0)
		}
		if _, err := f.store.Append(t.Context(), backlog); err != nil {
			t.Fatal(err)
		}
	}
	var last, fence atomic.Int64 // fence: what is begun after it is committed after the answer
	fence.Store(math.MaxInt64)
	type end struct {
		code room.Code
		err  error
	}
	ended := make(chan end, 1)
	reads := read(f, user, id, other) // it is let in before access is taken back
	go func() {
		defer close(ended)
		code, err := reads(func(n int64) bool {
			last.Store(max(last.Load(), n))
			return n <= fence.Load()
		})
		ended <- end{code, err}
	}()
	w := f.flow(id)
	w.reach(after)
	admin, path := f.token("admin"), "/v1/users/"+strings.ReplaceAll(user, " ", "%20")+"/revoke"
	var a answer
	want := room.CodeRevoked
	// A machine under load may not say in time what became of it.
	for until := time.Now().Add(patience); (a.status == 0 || a.status == http.StatusServiceUnavailable) && time.Now().Before(until); {
		switch act {
		case "ban":
			want = room.CodeUnknownRoom
			a = f.request("PUT", "/v1/rooms/"+string(id)+"/bans/"+strings.ReplaceAll(user, " ", "%20"), admin, `{"reason":"canary"}`)
		case "revoke":
			a = f.request("POST", path, admin, "")
		case "block":
			a = f.request("POST", path, admin, `{"block":true}`)
		}
	}
	fence.Store(w.n.Load())
	if a.status != http.StatusOK {
		t.Errorf("%s: %d %s", act, a.status, a.text)
	}
	w.reach(fence.Load() + 15)
	w.stop()
	(&flow{f: f, room: other}).write()
	e, ok := <-ended
	if !ok {
		t.Errorf("round %s: the victim gave up", at)
	}
	if e.err != nil {
		t.Errorf("round %s: %v", at, e.err)
	}
	if e.code != want {
		t.Errorf("round %s: ended by %q, want %q", at, e.code, want)
	}
	if n := last.Load(); n > fence.Load() {
		t.Errorf("I17: round %s: event %d was given, although only %d were begun when the %s was answered", at, n, fence.Load(), act)
	}
}
