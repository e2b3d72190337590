package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// transcript is one file of spec/transcripts, whose README says what the fields mean.
type transcript struct {
	Name   string
	For    []string
	Grants auth.Grants
	Steps  []transcriptStep
}

type transcriptStep struct {
	Client map[string]any
	Go     map[string]any
	Lost   bool
	Raw    *string
	Server map[string]any
	Any    []transcriptStep `json:"any_order"`
	HTTP   *struct {
		As, Method, Path string
		Body             map[string]any
		Status           int
		Response         map[string]any
	}
	Drop  bool
	Close uint16
}

// TestTranscripts plays the client's side of every conversation that is for Go against a real server.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("../../spec/transcripts/*.json")
	must(t, err)
	f := start(t, options{server: func(c *Config) { c.Docs = docs.New(docs.Config{Store: c.Access.(room.DocStore)}) }})
	want, replayed := 0, 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(t, err)
		var tr transcript
		must(t, json.Unmarshal(freshRooms(text), &tr))
		if !slices.Contains(tr.For, "go") {
			continue
		}
		want++
		ok := t.Run(tr.Name, func(t *testing.T) {
			r := replay{t: t, f: f, tr: &tr, kept: make(map[string]any)}
			f.t = t
			for i := range tr.Steps {
				r.at = i
				r.step(&tr.Steps[i])
			}
			replayed++
			if r.peer != nil {
				_ = r.peer.nc.Close()
			}
		})
		f.t = t
		if !ok {
			t.Logf("%s failed", path)
		}
	}
	if want == 0 || replayed != want {
		t.Errorf("%d of %d transcripts were replayed to their end", replayed, want)
	}
}

var chatRoom = regexp.MustCompile(`\bchat:[A-Za-z0-9_.@-]+`)

// freshRooms gives every room of a file a suffix of its own.
func freshRooms(text []byte) []byte {
	suffix := fmt.Appendf(nil, "-%08x", rand.Uint32())
	return chatRoom.ReplaceAllFunc(text, func(id []byte) []byte { return append(bytes.Clone(id), suffix...) })
}

// replay is one transcript under way.
type replay struct {
	t    *testing.T
	f    *fixture
	tr   *transcript
	at   int
	peer *peer
	kept map[string]any
	ids  int
}

func (r *replay) fatalf(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s, step %d: %s", r.tr.Name, r.at, fmt.Sprintf(format, args...))
}

func (r *replay) step(s *transcriptStep) {
	r.t.Helper()
	switch {
	case s.Client != nil && !s.Lost:
		frame := make(map[string]any)
		for _, from := range []map[string]any{s.Client, s.Go} {
			for k, v := range from {
				frame[k] = v
			}
		}
		r.send(r.text(r.fill("", frame)))
	case s.Raw != nil:
		r.send(*s.Raw)
	case s.Server != nil:
		got := r.next()
		if !r.match(s.Server, got) {
			r.fatalf("got %v, want %v", r.text(got), r.text(s.Server))
		}
	case s.Any != nil:
		r.anyOrder(s.Any)
	case s.HTTP != nil:
		r.request(s)
	case s.Drop:
		_ = r.peer.nc.Close()
		r.peer = nil
	case s.Close != 0:
		if r.peer == nil {
			r.fatalf("there is no connection to be closed")
		}
		r.peer.expectClose(s.Close)
		r.peer = nil
	}
}

func (r *replay) text(v any) string {
	b, err := json.Marshal(v)
	must(r.t, err)
	return string(b)
}

func (r *replay) send(text string) {
	r.t.Helper()
	if r.peer == nil {
		r.peer = r.f.dial()
	}
	r.peer.t = r.t
	r.peer.sendf("%s", text)
}

// next reads a frame; pings are answered, and are nobody's business here.
func (r *replay) next() map[string]any {
	r.t.Helper()
	if r.peer == nil {
		r.fatalf("there is no connection to read from")
	}
	for {
		op, payload := r.peer.next()
		var m map[string]any
		if err := json.Unmarshal(payload, &m); op != 0x81 || err != nil {
			r.fatalf("got the frame %#x %q", op, payload)
		}
		if m["op"] != "ping" {
			return m
		}
		r.peer.sendf(`{"op":"pong"}`)
	}
}

func (r *replay) anyOrder(want []transcriptStep) {
	r.t.Helper()
	left := slices.Clone(want)
	for len(left) > 0 {
		got := r.next()
		i := slices.IndexFunc(left, func(s transcriptStep) bool { return r.match(s.Server, got) })
		if i < 0 {
			r.fatalf("got %v, which none of these are: %v", r.text(got), left)
		}
		left = slices.Delete(left, i, i+1)
	}
}

func (r *replay) request(s *transcriptStep) {
	r.t.Helper()
	path, _ := r.fill("", s.HTTP.Path).(string)
	body := ""
	if s.HTTP.Body != nil {
		body = r.text(r.fill("", s.HTTP.Body))
	}
	user := s.HTTP.As
	if user == "" {
		user = "u1"
	}
	a := r.f.request(s.HTTP.Method, path, r.token(user), body)
	if a.status != s.HTTP.Status || !r.match(s.HTTP.Response, any(a.body)) {
		r.fatalf("%d %s, want %d %s", a.status, a.text, s.HTTP.Status, r.text(s.HTTP.Response))
	}
}

func (r *replay) token(user string) string {
	if user == "u1" {
		return r.f.token(user, r.tr.Grants...)
	}
	return r.f.token(user)
}

var embedded = regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`)

// fill puts values in place of what a frame of the client names.
func (r *replay) fill(field string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any)
		for k, e := range v {
			if e != "$absent" {
				out[k] = r.fill(k, e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = r.fill(field, v[i])
		}
		return out
	case string:
		if strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "${") {
			return r.make(field, v)
		}
		return embedded.ReplaceAllStringFunc(v, func(m string) string { return fmt.Sprint(r.kept["$"+m[2:len(m)-1]]) })
	}
	return v
}

// make is the value of a name, made where there is none yet.
func (r *replay) make(field, name string) any {
	switch name {
	case "$token":
		return r.token("u1")
	case "$uuid":
		return randomTag()
	case "$any":
		return "any"
	}
	if v, ok := r.kept[name]; ok {
		return v
	}
	switch field {
	case "id":
		r.ids++
		r.kept[name] = float64(r.ids)
	case "tag":
		r.kept[name] = randomTag()
	default:
		r.fatalf("there is no value of %s yet, and none can be made up for %s", name, field)
	}
	return r.kept[name]
}

func randomTag() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rand.Uint32(), rand.Uint32()>>16, rand.Uint32()>>20, rand.Uint32()>>20, rand.Uint64()>>16)
}

var shapes = map[string]*regexp.Regexp{
	"$epoch":    regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`),
	"$position": regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}:[0-9]+(:[0-9a-f]{8})?$`),
	"$time":     regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`),
	"$uuid":     regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
}

// match compares as the README says. What did not match leaves nothing kept.
func (r *replay) match(want, got any) bool {
	before := make(map[string]any, len(r.kept))
	for k, v := range r.kept {
		before[k] = v
	}
	if r.same(want, got) {
		return true
	}
	r.kept = before
	return false
}

func (r *replay) same(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		for k, w := range want {
			g, there := object[k]
			if (w == "$absent") == there || there && !r.same(w, g) {
				return false
			}
		}
		return ok
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !r.same(want[i], list[i]) {
				return false
			}
		}
		return true
	case string:
		if strings.HasPrefix(want, "$") {
			return r.named(want, got)
		}
	}
	return reflect.DeepEqual(want, got)
}

func (r *replay) named(name string, got any) bool {
	if shape := shapes[name]; shape != nil {
		text, ok := got.(string)
		return ok && shape.MatchString(text)
	}
	if name == "$any" || name == "$token" {
		return true
	}
	if v, ok := r.kept[name]; ok {
		return reflect.DeepEqual(v, got)
	}
	r.kept[name] = got
	return true
}
