package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hookReceiver is an app's server for both kinds of webhooks.
type hookReceiver struct {
	*httptest.Server
	mu        sync.Mutex
	asked     []string // data that was asked about
	answer    string   // to a question
	status    int
	delivered chan string // bodies of deliveries
}

func newHookReceiver(t *testing.T) *hookReceiver {
	r := &hookReceiver{status: 200, answer: "{}", delivered: make(chan string, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if req.URL.Path == "/after" {
			r.delivered <- string(body)
			return
		}
		var q struct{ Data json.RawMessage }
		_ = json.Unmarshal(body, &q)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, string(q.Data))
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) says(status int, answer string) (before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.answer = status, answer
	return len(r.asked)
}

func (r *hookReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// DATA-5, DATA-6, HOOK-1 to HOOK-8, HOOK-12, HOOK-18: a whole server with a schema and both webhooks.
func TestValidationOfAWholeServer(t *testing.T) {
	r := newHookReceiver(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "message.json"), []byte(`{"properties":{"text":{"type":"string"}},"required":["text"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "secret"), []byte(hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cfg := Config{
		Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Version: "test", Folder: folder, WebhookAllow: []string{"127.0.0.0/8"},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Kinds: Kinds{"chat": {
			Types:        map[string]string{"message": "message.json", "ping": ""},
			BeforeAppend: BeforeConfig{URL: r.URL + "/before?key=CANARY", Secret: hookSecret},
			AfterAppend:  []AfterConfig{{Name: "search", URL: r.URL + "/after", SecretFile: "secret"}},
		}},
	}
	a, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = a.Stop(context.Background())
		}
	}()
	url := a.About().URL
	var made struct{ Token string }
	ask(t, "GET", url+"/v1/dev/token?user=mira", "", "", &made)
	type answer struct {
		Code, Title, Field, Type string
		Seq                      int
		Data                     json.RawMessage
		Duplicate                bool
	}
	send := func(tag int, typ, data string, status int) answer {
		t.Helper()
		var got answer
		body := fmt.Sprintf(`{"tag":"00000000-0000-4000-8000-%012d","type":%q,"data":%s}`, tag, typ, data)
		if s := ask(t, "POST", url+"/v1/rooms/chat:a/events", made.Token, body, &got); s != status {
			t.Fatalf("%s: status %d, want %d: %+v", body, s, status, got)
		}
		return got
	}
	if got := send(1, "message", `{"text":7}`, 400); got.Code != "bad_data" || got.Field != "data/text" {
		t.Errorf("DATA-6: %+v", got)
	}
	if got := send(1, "note", `{}`, 400); got.Code != "bad_type" {
		t.Errorf("DATA-5: %+v", got)
	}
	if r.count() != 0 {
		t.Error("HOOK-1: the app is asked about what does not fit")
	}
	if got := send(1, "message", `{"text":"a"}`, 201); got.Seq != 1 {
		t.Errorf("%+v", got)
	}
	r.says(200, `{"allow":false,"reason":"No."}`)
	if got := send(2, "message", `{"text":"b"}`, 422); got.Code != "refused" || got.Title != "No." {
		t.Errorf("HOOK-4: %+v", got)
	}
	r.says(200, `{"data":{"text":"***"}}`)
	if got := send(3, "message", `{"text":"darn"}`, 201); got.Seq != 2 || string(got.Data) != `{"text":"***"}` {
		t.Errorf("HOOK-6: %+v", got)
	}
	before := r.says(500, ``)
	if got := send(3, "message", `{"text":"darn"}`, 200); !got.Duplicate || got.Seq != 2 || string(got.Data) != `{"text":"***"}` {
		t.Errorf("HOOK-6: a repeat of what was rewritten: %+v", got)
	}
	if got := send(3, "message", `{"text":"other"}`, 409); got.Code != "tag_conflict" {
		t.Errorf("TAG-4: %+v", got)
	}
	if r.count() != before {
		t.Error("HOOK-3: the app is asked about a stored tag")
	}
	if got := send(4, "message", `{"text":"c"}`, 503); got.Code != "unavailable" {
		t.Errorf("HOOK-7: %+v", got)
	}
	r.says(200, `{"data":{"text":1}}`)
	send(4, "message", `{"text":"c"}`, 503) // what the app makes of it does not fit

	open := cfg
	chat := open.Kinds["chat"]
	chat.BeforeAppend.OnFailure = "accept"
	open.Kinds = Kinds{"chat": chat}
	if waiting, err := a.Reload(open); err != nil || len(waiting) != 0 {
		t.Fatalf("reload: %v, waiting %v", err, waiting)
	}
	if got := send(4, "message", `{"text":"c"}`, 201); got.Seq != 3 {
		t.Errorf("HOOK-7: %+v", got)
	}
	last := func(seq int) {
		t.Helper()
		for {
			select {
			case body := <-r.delivered:
				if strings.Contains(body, fmt.Sprintf(`"seq":%d,"position"`, seq)) {
					return
				}
			case <-time.After(patience):
				t.Fatalf("HOOK-8: %d is not delivered", seq)
			}
		}
	}
	last(3)
	if s := ask(t, "POST", url+"/v1/webhooks/search/replay", made.Token, `{"room":"chat:a","after":1}`, nil); s != 202 {
		t.Errorf("HOOK-12: replay: %d", s)
	}
	last(3)
	for body, want := range map[string]int{`{"room":"chat:a"}`: 400, `{"room":"chat:a","after":-1}`: 400, `{"room":"chat:a","after":9}`: 400, `{"room":"x","after":0}`: 400, `{"room":"chat:none","after":0}`: 404, `[]`: 400} {
		if s := ask(t, "POST", url+"/v1/webhooks/search/replay", made.Token, body, nil); s != want {
			t.Errorf("HOOK-12: %s: %d, want %d", body, s, want)
		}
	}
	if s := ask(t, "POST", url+"/v1/webhooks/none/replay", made.Token, `{"room":"chat:a","after":0}`, nil); s != 404 {
		t.Errorf("HOOK-12: of no hook: %d", s)
	}
	var listed json.RawMessage
	if s := ask(t, "GET", url+"/v1/webhooks", made.Token, "", &listed); s != 200 || !strings.Contains(string(listed), `"name":"search"`) {
		t.Errorf("HOOK-18: %d %s", s, listed)
	}
	if s := ask(t, "GET", url+"/v1/webhooks", "", "", nil); s != 401 {
		t.Errorf("HOOK-18: without a token: %d", s)
	}
	response, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || !strings.Contains(string(metrics), `roomlog_webhook_calls_total{hook="search",result="ok"}`) || !strings.Contains(string(metrics), `hook="before_append:chat"`) {
		t.Errorf("%v %.0s", err, metrics)
	}
	chat.BeforeAppend = BeforeConfig{}
	open.Kinds = Kinds{"chat": chat}
	if waiting, err := a.Reload(open); err != nil || len(waiting) != 0 {
		t.Fatalf("reload: %v, waiting %v", err, waiting)
	}
	if got := send(3, "message", `{"text":"darn"}`, 200); !got.Duplicate || string(got.Data) != `{"text":"***"}` {
		t.Errorf("HOOK-6: a repeat of what was rewritten, after the hook is gone: %+v", got)
	}
	if s := ask(t, "DELETE", url+"/v1/rooms/chat:a", made.Token, "", nil); s != 200 {
		t.Errorf("ROOM-10: %d", s)
	}
	for told := false; !told; {
		select {
		case body := <-r.delivered:
			told = strings.Contains(body, `"type":"reset"`) && strings.Contains(body, `"reason":"epoch","floor":1,"head":0,"seq":0}`)
		case <-time.After(patience):
			t.Fatal("HOOK-14: the webhook is not told that the room is deleted")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stopped = true
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"CANARY", "MfKQ9r8G", "darn", "***"} {
		if all := log.String() + string(listed) + string(metrics); strings.Contains(all, secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}

// HOOK-16: what could never be called, and what cannot be read, is an error that names its key and no secret.
func TestConfigurationOfWebhooks(t *testing.T) {
	before := func(c BeforeConfig) KindConfig { return KindConfig{BeforeAppend: c} }
	after := func(c ...AfterConfig) KindConfig { return KindConfig{AfterAppend: c} }
	good := AfterConfig{Name: "a", URL: "https://example.com/", Secret: hookSecret}
	other := good
	other.Timeout = time.Second
	for _, c := range []struct {
		kinds Kinds
		says  string
	}{
		{Kinds{"chat": before(BeforeConfig{URL: "https://169.254.169.254/", Secret: hookSecret})}, "kinds.chat.before_append.url"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://localhost/", Secret: hookSecret})}, "kinds.chat.before_append.url"},
		{Kinds{"chat": before(BeforeConfig{Secret: hookSecret})}, "kinds.chat.before_append.url"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://u:CANARY@example.com/", Secret: hookSecret})}, "kinds.chat.before_append.url"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://example.com/", Secret: "whsec_CANARY"})}, "kinds.chat.before_append: a secret is"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://example.com/", Secret: hookSecret, SecretFile: "x"})}, "keep one of"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://example.com/", SecretFile: "nowhere"})}, "kinds.chat.before_append.secret_file"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://example.com/", Secret: hookSecret, OnFailure: "open"})}, "on_failure is refuse or accept"},
		{Kinds{"chat": before(BeforeConfig{URL: "https://example.com/", Secret: hookSecret, Timeout: time.Hour})}, "timeout is at most"},
		{Kinds{"chat": after(AfterConfig{Name: "A b"})}, "after_append[0].name"},
		{Kinds{"chat": after(good, good)}, "there twice"},
		{Kinds{"chat": after(good), "feed": after(other)}, "written otherwise"},
		{Kinds{"chat": after(AfterConfig{Name: "a", URL: "http://93.184.216.34/", Secret: hookSecret})}, "use https"},
		{Kinds{"chat": after(AfterConfig{Name: "a", URL: "https://example.com/", Secret: hookSecret, From: "1"})}, "from is head or beginning"},
		{Kinds{"chat": {Types: map[string]string{"A": ""}}}, `"A" is not a type`},
		{Kinds{"chat": {Types: map[string]string{"a": "nowhere.json"}}}, "kinds.chat.types.a"},
	} {
		a, err := New(t.Context(), Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Folder: t.TempDir(), Kinds: c.kinds})
		if err == nil {
			_ = a.Stop(context.Background())
			t.Errorf("%+v is taken", c.kinds)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
	shown := fmt.Sprintf("%+v", Kinds{"chat": {BeforeAppend: BeforeConfig{URL: "https://h/p?k=CANARY", Secret: hookSecret}, AfterAppend: []AfterConfig{good}}}.Redacted())
	if strings.Contains(shown, "CANARY") || strings.Contains(shown, "MfKQ") || good.Secret != hookSecret {
		t.Error(shown)
	}
}
