package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// journal is a log at debug level, as JSON lines.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// of finds the line of a request.
func (j *journal) of(id string) map[string]any {
	for line := range strings.Lines(j.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["msg"] == "request" && m["request"] == id {
			return m
		}
	}
	return nil
}

// HTTP-10: one name in the answer, its problem and the log.
func TestRequestIDs(t *testing.T) {
	var log journal
	f := start(t, options{server: func(c *Config) { c.Log = log.logger() }})
	for given, kept := range map[string]bool{
		"": false, "a": true, "01J-x_y.z:1": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
		"a b": false, "a\tb": false, "ä": false, `"`: false, "a,b": false, "<script>": false,
	} {
		var header []string
		if given != "" {
			header = append(header, "X-Request-Id: "+given)
		}
		a := f.request("GET", "/v1/rooms/chat:a/events", "", "", header...)
		id := a.header.Get("X-Request-Id")
		if (id == given) != kept || id == "" || a.body["request_id"] != id {
			t.Errorf("%q: header %q, problem %v", given, id, a.body["request_id"])
		}
		eventually(t, "the request is logged", func() bool { return log.of(id) != nil })
		if line := log.of(id); line["code"] != "unauthenticated" || line["route"] != "/v1/rooms/{room}/events" || line["method"] != "GET" {
			t.Errorf("%q: logged %v", given, line)
		}
	}
	p := f.dialRaw(handshake + "X-Request-Id: twice\r\nX-Request-Id: twice\r\n\r\n")
	if id := p.response().Header.Get("X-Request-Id"); id == "" || id == "twice" {
		t.Errorf("two names: %q", id)
	}
}

// HTTP-11: readyz says in one sentence what is wrong with the store, and no more than that.
func TestReadySaysWhatIsWrong(t *testing.T) {
	var why atomic.Pointer[error]
	f := start(t, options{server: func(c *Config) {
		c.Ready = func(context.Context) error {
			if err := why.Load(); err != nil {
				return *err
			}
			return nil
		}
	}})
	if a := f.request("GET", "/readyz", "", ""); a.status != 200 {
		t.Error(a.text)
	}
	for _, c := range []struct {
		err   error
		title string
	}{
		{errors.New("dial postgres://u:CANARY@h"), "The store does not answer."},
		{&room.Error{Code: room.CodeUnavailable, Title: "The database is starting.", Cause: errors.New("CANARY")}, "The database is starting."},
	} {
		why.Store(&c.err)
		if a := f.request("GET", "/readyz", "", ""); a.status != 503 || a.code() != "unavailable" || a.body["title"] != c.title || strings.Contains(a.text, "CANARY") {
			t.Errorf("%d %s, want %q", a.status, a.text, c.title)
		}
	}
}

// full is a store that has no space left, while it can be read.
type full struct {
	room.Store
	mu  sync.Mutex
	now bool
}

func (s *full) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now {
		return room.Appended{}, &room.Error{Code: room.CodeStorageFull, Title: "There is no space left.", Cause: errors.New("disk")}
	}
	return s.Store.Append(ctx, batch)
}

// HTTP-11: a store that can be read and keeps nothing is not ready, until it keeps something again.
func TestReadyKnowsThatTheLastSendWasNotStored(t *testing.T) {
	store := &full{now: true}
	f := start(t, options{hub: func(c *hub.Config) { store.Store, c.Store = c.Store, store }})
	f.post("u1", "chat:a", 1, "1", 507)
	if a := f.request("GET", "/readyz", "", ""); a.status != 503 || a.body["title"] != "There is no space left." {
		t.Errorf("%d %s", a.status, a.text)
	}
	store.mu.Lock()
	store.now = false
	store.mu.Unlock()
	f.post("u1", "chat:a", 1, "1", 201)
	if a := f.request("GET", "/readyz", "", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

const canary = "CANARY"

// canaries is a server whose key, tokens and events hold a word that nothing may repeat.
type canaries struct {
	*fixture
	log           journal
	good, expired string // tokens
	secrets       []string
}

func startCanaries(t *testing.T) *canaries {
	t.Helper()
	c := &canaries{}
	key := []byte("a key of thirty-two bytes with a " + canary)
	verifier, err := auth.NewVerifier(key)
	must(t, err)
	c.fixture = start(t, options{
		hub:    func(h *hub.Config) { h.Log = c.log.logger() },
		server: func(s *Config) { s.Verifier, s.Log = verifier, c.log.logger() },
	})
	signer, err := auth.NewSigner(key)
	must(t, err)
	c.good, _, err = signer.Sign("u1", auth.Everything(), time.Hour)
	must(t, err)
	c.expired, err = jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "u1", "exp": time.Now().Add(-time.Hour).Unix(), "grants": auth.Everything(),
	}).SignedString(key)
	must(t, err)
	signature := func(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }
	c.secrets = []string{canary, signature(c.good), signature(c.expired)}
	return c
}

func (c *canaries) check(where, text string) {
	c.t.Helper()
	for _, s := range c.secrets {
		if strings.Contains(text, s) {
			c.t.Errorf("%s holds %q: %s", where, s, text)
		}
	}
}

// ask makes a request; where it is refused, the answer is looked at.
func (c *canaries) ask(method, path, token, body string, header ...string) {
	c.t.Helper()
	if a := c.request(method, path, token, body, header...); a.status >= 400 {
		c.check("an answer", a.text)
	}
}

// No log line at debug level, no error and no answer has a token, a key or the data of an event, however
// a request goes wrong (ERR-6). What is secret holds the word, in whatever place it is put.
func TestNothingSecretIsLoggedOfRequests(t *testing.T) {
	c := startCanaries(t)
	event := func(tag, data string) string { return `{"tag":"` + tag + `","type":"message","data":` + data + `}` }
	for _, body := range []string{
		event(tagOf(1), `"`+canary+`"`), event(tagOf(1), `"another `+canary+`"`), event(canary, `1`),
		event(tagOf(2), `{"`+canary+`":}`), event(tagOf(2), `"`+canary+`\u0000"`), `{"` + canary, `"` + canary + `"`,
		`{"tag":"` + tagOf(3) + `","type":"` + canary + `","data":1}`, event(tagOf(3), `"`+canary+strings.Repeat("x", room.MaxData)+`"`),
	} {
		c.ask("POST", "/v1/rooms/chat:a/events", c.good, body)
	}
	c.ask("POST", "/v1/rooms/chat:a/events", c.good, canary, "Content-Type: text/"+canary)
	c.ask(canary, "/v1/rooms/chat:a/events", c.good, "")
	for _, token := range []string{c.expired, c.good + "x", canary, canary + "." + canary + "." + c.secrets[1], "", c.good + "%20" + canary} {
		c.ask("POST", "/v1/rooms/chat:a/events", token, event(tagOf(4), `1`))
		for _, path := range []string{"/v1/sse?room=chat:a&token=", "/v1/rooms/", "/v1/", "/v1/dev/token?user=%00"} {
			c.ask("GET", path+token, "", "", "Last-Event-ID: "+canary)
		}
	}
	s := c.dialRaw("GET /v1/sse?room=chat:a&token=" + c.good + " HTTP/1.1\r\nHost: roomlog\r\nLast-Event-ID: \r\n\r\n")
	if status := s.response().StatusCode; status != 200 {
		t.Errorf("a stream: %d", status)
	}
	must(t, s.nc.Close())
	eventually(t, "the last request is logged", func() bool { return strings.Count(c.log.String(), `"msg":"request"`) == 11+6*5+1 })
	c.check("the log", c.log.String())
}

func TestNothingSecretIsLoggedOfFrames(t *testing.T) {
	c := startCanaries(t)
	frames := []string{
		`{"op":"join","room":"chat:a","position":"` + canary + `"}`, `{"op":"` + canary + `"}`, canary, `{"op":"send","id":"` + canary + `"}`,
		`{"op":"send","id":1,"n":1,"room":"chat:a","tag":"` + tagOf(5) + `","type":"message","data":"` + canary + `"}`,
		`{"op":"send","id":2,"n":1,"room":"chat:a","tag":"` + tagOf(5) + `","type":"message","data":"not ` + canary + `"}`,
		`{"op":"send","id":3,"n":9,"room":"chat:a","tag":"` + tagOf(6) + `","type":"message","data":"` + canary + `"}`,
		`{"op":"send","id":4,"n":1,"room":"` + canary + ` is no room","tag":"` + tagOf(6) + `","type":"message","data":"` + canary + `"}`,
		`{"op":"refresh","token":"` + c.expired + `"}`, `{"op":"refresh","token":"` + canary + `"}`, `{"op":"hello","token":"` + c.good + `"}`,
	}
	for _, frame := range frames {
		p := c.dial()
		p.sendf(`{"op":"hello","token":"%s"}`, c.good)
		p.expect("welcome")
		p.sendf("%s", frame)
		p.sendf(`{"op":"ping"}`)
		for op := ""; op != "pong"; {
			m := p.object()
			op, _ = m["op"].(string)
			delete(m, "room") // an error names the room as it was asked for
			c.check("a frame", fmt.Sprint(m))
		}
		must(t, p.nc.Close())
	}
	for _, hello := range []string{c.expired, canary, c.good + canary} {
		p := c.dial()
		p.sendf(`{"op":"hello","token":"%s"}`, hello)
		c.check("an error frame", fmt.Sprint(p.expect("error")))
		must(t, p.nc.Close())
	}
	eventually(t, "every connection ends", func() bool {
		return strings.Count(c.log.String(), `"disconnected"`) == len(frames)+3
	})
	c.check("the log", c.log.String())
}
