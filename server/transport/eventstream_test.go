package transport

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// The table of text/event-stream: what a stream's bytes are to whoever reads them by the WHATWG's rules, and
// what a reader that comes back may say. SSE-3, SSE-4, SSE-6, SSE-9.
func TestEventStreamBytes(t *testing.T) {
	f := start(t, options{hub: func(c *hub.Config) { c.PingEvery = 100 * time.Millisecond }})
	l := f.listen("/v1/sse?room=chat:a&after=0", f.token("u1"))
	// Whatever ends a line somewhere, or looks like a field, in what people send.
	for i, data := range []string{
		"{\r\n \"a\" :\t\"x\\n\\r\\r\\n\"\r}", `"data: x\n\nevent: reset\nid: 9\n\n"`, "\"\u2028\u2029\u0085\ufeff\"", `"é漢😀\ud83d\ude00"`, `": no comment"`,
	} {
		f.post("u2", "chat:a", i, data, 201)
	}
	var blocks, comments []string
	var pages []sseEvent
	for len(pages) < 5 || len(comments) == 0 {
		e := l.any()
		blocks = append(blocks, e.raw)
		switch {
		case e.comment != "":
			comments = append(comments, e.raw)
		case e.name == "page":
			pages = append(pages, e)
		}
	}
	t.Run("retry is digits, and comes first", func(t *testing.T) {
		if !regexp.MustCompile(`^retry: [0-9]+\n\n$`).MatchString(blocks[0]) {
			t.Errorf("%q", blocks[0])
		}
	})
	t.Run("SSE-9 a comment is no event", func(t *testing.T) {
		for _, c := range comments {
			if c != ": ping\n\n" {
				t.Errorf("%q", c)
			}
		}
	})
	t.Run("SSE-3 one data line, and lines end in LF", func(t *testing.T) {
		event := regexp.MustCompile(`^id: [^\n\r\x00]+\nevent: (ready|page)\ndata: \{[^\n\r\x00]+\}\n\n$`)
		for _, b := range blocks[1:] {
			if !strings.HasPrefix(b, ":") && !event.MatchString(b) {
				t.Errorf("%q", b)
			}
		}
	})
	t.Run("UTF-8 without a byte order mark", func(t *testing.T) {
		all := strings.Join(blocks, "")
		if !utf8.ValidString(all) || strings.HasPrefix(all, "\ufeff") {
			t.Errorf("%q", all)
		}
	})
	t.Run("DATA-1 what was sent is what is read", func(t *testing.T) {
		want := []any{map[string]any{"a": "x\n\r\r\n"}, "data: x\n\nevent: reset\nid: 9\n\n", "\u2028\u2029\u0085\ufeff", "é漢😀😀", ": no comment"}
		for i, e := range pages {
			got := e.data["events"].([]any)[0].(map[string]any)["data"]
			if m, ok := got.(map[string]any); ok && m["a"] == want[0].(map[string]any)["a"] {
				continue
			} else if ok || got != want[i] {
				t.Errorf("%q, want %q", got, want[i])
			}
		}
	})
	t.Run("SSE-4 every id resumes behind its event", func(t *testing.T) {
		for i, e := range pages[:4] {
			again := f.listen("/v1/sse?room=chat:a", f.token("u1"), "Last-Event-ID: "+e.id)
			again.t = t
			again.event() // ready
			again.page("chat:a", float64(i+1), float64(i+2))
			_ = again.nc.Close()
		}
	})
}

// What a reader says when it comes back. SSE-5, SSE-6.
func TestLastEventID(t *testing.T) {
	f := start(t, options{})
	f.post("u2", "chat:a", 1, `1`, 201)
	for _, c := range []struct {
		name, id, code string
		status         int
		first          int // the seq it begins behind, where there is a stream
	}{
		{"the beginning", "0", "", 200, 0},
		{"spaces around it, which HTTP drops", "  0\t ", "", 200, 0},
		{"empty, as one that is not there", "", "", 200, 1},
		{"blank, likewise", "  ", "", 200, 1},
		{"NUL", "0\x00", "", 400, 0},
		{"a CR inside", "0\r1", "", 400, 0},
		{"a line feed that begins another header", "0\nX: 1", "", 200, 0}, // a bare LF ends a line (RFC 9112 section 2.2)
		{"a folded line", "0\r\n 1", string(room.CodeBadPosition), 400, 0},
		{"no text", "\xff\xfe", string(room.CodeBadPosition), 400, 0},
		{"digits of another script", "٣", string(room.CodeBadPosition), 400, 0},
		{"an id of several rooms", "chat:a=0,chat:b=0", "", 200, 0},
		{"of other rooms only", "chat:b=0", "", 200, 1},
		{"many commas", strings.Repeat(",", 5000), string(room.CodeBadPosition), 400, 0},
		{"many rooms", strings.Repeat("chat:a=0,", 500) + "chat:a=x", string(room.CodeBadPosition), 400, 0},
		{"in a percent encoding", "%30", string(room.CodeBadPosition), 400, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := f.listen("/v1/sse?room=chat:a", f.token("u1"), "Last-Event-ID: "+c.id)
			l.t = t
			defer l.nc.Close()
			if l.head.StatusCode != c.status {
				t.Fatalf("status %d, want %d", l.head.StatusCode, c.status)
			}
			if c.code != "" {
				if got := decode(t, l.head)["code"]; got != c.code {
					t.Errorf("%v, want %s", got, c.code)
				}
			}
			if c.status != 200 {
				return
			}
			ready := l.event()
			if atHead := !strings.HasSuffix(ready.id, ":0"); atHead != (c.first == 1) {
				t.Errorf("it begins at %q, want behind seq %v", ready.id, c.first)
			}
			if c.first == 0 {
				l.page("chat:a", 0, 1)
			}
		})
	}
}
