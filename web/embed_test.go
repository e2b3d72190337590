package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func pages() http.Handler {
	return newHandler(fstest.MapFS{
		"index.html":         {Data: []byte("<!doctype html>home")},
		"chat.html":          {Data: []byte("<!doctype html>chat")},
		"theme.js":           {Data: []byte("1")},
		"assets/a-1f2e.js":   {Data: []byte("2")},
		"assets/f-77.woff2":  {Data: []byte("3")},
		".gitkeep":           {Data: nil},
		"assets/.hidden.txt": {Data: []byte("4")},
	})
}

func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestHandlerServesEachFileUnderOnePath(t *testing.T) {
	for _, c := range []struct {
		method, path  string
		status        int
		kind, caching string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", askFirst},
		{"HEAD", "/", 200, "text/html; charset=utf-8", askFirst},
		{"GET", "/theme.js", 200, "text/javascript; charset=utf-8", askFirst},
		{"GET", "/assets/a-1f2e.js", 200, "text/javascript; charset=utf-8", keepForever},
		{"GET", "/assets/f-77.woff2", 200, "font/woff2", keepForever},
		{"GET", "/chat", 200, "text/html; charset=utf-8", askFirst},
		{"GET", "/chat?room=chat:lobby", 200, "text/html; charset=utf-8", askFirst},
		{"GET", "/chat.html", 404, "", keepNothing},
		{"GET", "/chat/", 404, "", keepNothing},
		{"GET", "/index.html", 404, "", keepNothing},
		{"GET", "/console", 404, "", keepNothing},
		{"GET", "/assets", 404, "", keepNothing},
		{"GET", "/.gitkeep", 404, "", keepNothing},
		{"GET", "/assets/.hidden.txt", 404, "", keepNothing},
		{"GET", "/../embed.go", 404, "", keepNothing},
		{"POST", "/", 405, "", ""},
	} {
		got := ask(pages(), c.method, c.path)
		if got.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, got.StatusCode, c.status)
		}
		if kind := got.Header.Get("Content-Type"); c.kind != "" && kind != c.kind {
			t.Errorf("%s %s: type %q, want %q", c.method, c.path, kind, c.kind)
		}
		if caching := got.Header.Get("Cache-Control"); caching != c.caching {
			t.Errorf("%s %s: caching %q, want %q", c.method, c.path, caching, c.caching)
		}
		if policy := got.Header.Get("Content-Security-Policy"); policy != Policy {
			t.Errorf("%s %s: policy %q", c.method, c.path, policy)
		}
	}
}

func TestHandlerKnowsWhatABrowserHas(t *testing.T) {
	identity := ask(pages(), "GET", "/theme.js").Header.Get("ETag")
	if got := ask(pages(), "GET", "/theme.js", "If-None-Match", identity); got.StatusCode != http.StatusNotModified {
		t.Errorf("status %d with the file's own ETag %s, want 304", got.StatusCode, identity)
	}
}

func TestHandlerBeforeTheBuildSaysWhatToRun(t *testing.T) {
	got := ask(newHandler(fstest.MapFS{".gitkeep": {}}), "GET", "/")
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "make build") {
		t.Errorf("status %d, body %q", got.StatusCode, body)
	}
}

func TestPolicyAllowsNothingInlineAndNothingFromElsewhere(t *testing.T) {
	for _, forbidden := range []string{"unsafe", "https:", "http: ", "ws: ", "*;", " * "} {
		if strings.Contains(strings.ReplaceAll(Policy, ":*;", ";"), forbidden) {
			t.Errorf("the policy has %q: %s", forbidden, Policy)
		}
	}
}
