package webhook

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/child"
)

// HOOK-15: the test vector of Standard Webhooks' own libraries.
func TestSignatureOfTheStandardsVector(t *testing.T) {
	got := secret(t).Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSecretsAreReadAndHidden(t *testing.T) {
	for _, text := range []string{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_CANARY!!", "whsec_" + strings.Repeat("QUFB", 30)} {
		if _, err := ParseSecret(text); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", text, err)
		}
	}
	s := secret(t)
	text, err := json.Marshal(struct{ S Secret }{s})
	must(t, err)
	shown := fmt.Sprintf("%v %+v %#v %s %s %v", s, s, s, s, text, s.LogValue())
	for _, part := range []string{"MfKQ9r8G", "49 242"} {
		if strings.Contains(shown, part) {
			t.Errorf("shown: %s", shown)
		}
	}
}

// HOOK-16: which addresses are refused, in whatever form they are written.
func TestGuardJudgesAddresses(t *testing.T) {
	g := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}}
	for _, c := range []struct {
		ip      string
		allowed bool
	}{
		{"93.184.216.34", true}, {"2606:2800:220:1::1", true}, {"10.1.2.3", true}, {"::ffff:10.1.2.3", true}, {"fd00:1::7", true},
		{"127.0.0.1", false}, {"127.8.8.8", false}, {"::1", false}, {"0.0.0.0", false}, {"::", false},
		{"10.0.0.1", false}, {"10.2.0.1", false}, {"172.16.0.1", false}, {"172.31.255.255", false}, {"192.168.1.1", false},
		{"169.254.169.254", false}, {"100.64.0.1", false}, {"100.127.255.255", false}, {"224.0.0.1", false}, {"255.255.255.255", false},
		{"192.0.0.170", false}, {"198.18.0.1", false}, {"240.0.0.1", false}, {"0.1.2.3", false},
		{"::ffff:127.0.0.1", false}, {"::ffff:169.254.169.254", false}, {"::127.0.0.1", false}, {"64:ff9b::7f00:1", false},
		{"64:ff9b:1::1", false}, {"2002:7f00:1::", false}, {"2001:0:4136::1", false}, {"2001:db8::1", false}, {"fc00::1", false},
		{"fd00:2::1", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"fec0::1", false}, {"ff02::1", false}, {"100::1", false},
	} {
		err := g.Judge(netip.MustParseAddr(c.ip), false)
		if (err == nil) != c.allowed || err != nil && !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v, allowed: %t", c.ip, err, c.allowed)
		}
	}
	if g.Judge(netip.MustParseAddr("93.184.216.34"), true) == nil || g.Judge(netip.MustParseAddr("10.1.2.3"), true) != nil || g.Judge(netip.Addr{}, false) == nil {
		t.Error("plain http goes where it is not allowed, or does not go where it is")
	}
	for _, u := range []string{
		"", "ftp://example.com/", "https://", "https:example.com", "https://u:CANARY@example.com/", "https://example.com/#CANARY", "https://127.0.0.1/",
		"https://localhost/", "https://LOCALHOST./", "https://a.localhost:8443/", "http://[::1]/", "https://169.254.169.254/latest", "http://93.184.216.34/", "%CANARY",
		"https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/",
	} {
		if _, err := g.CheckURL(u); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, u := range []string{"https://example.com/hook?x=1", "http://10.1.0.1:8080/", "http://app:3000/hook"} {
		if _, err := g.CheckURL(u); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func newTestCaller(t *testing.T, url string, g Guard, change func(*Endpoint)) *caller {
	t.Helper()
	e := Endpoint{Name: "test", URL: url, Secret: secret(t), Timeout: patience}
	if change != nil {
		change(&e)
	}
	c, err := newCaller(e, g)
	must(t, err)
	t.Cleanup(c.close)
	return c
}

// HOOK-15: what arrives can be verified by what the standard says, and is what was sent.
func TestACallIsSigned(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "fine")
	}))
	defer s.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // HOOK-16: it is not asked
	answer, err := newTestCaller(t, s.URL+"/hook?q=1", loopback, nil).post(t.Context(), "id_1", []byte(`{"a":"<b>"}`), 10)
	must(t, err)
	if string(answer) != "fine" || string(body) != `{"a":"<b>"}` || got.URL.RequestURI() != "/hook?q=1" || got.Method != "POST" {
		t.Errorf("%s %s, body %s, answered %s", got.Method, got.URL, body, answer)
	}
	var at int64
	_, err = fmt.Sscan(got.Header.Get("webhook-timestamp"), &at)
	must(t, err)
	if age := time.Since(time.Unix(at, 0)); age < 0 || age > patience {
		t.Errorf("timestamp %d", at)
	}
	if got.Header.Get("webhook-id") != "id_1" || got.Header.Get("webhook-signature") != secret(t).Sign("id_1", time.Unix(at, 0), body) || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", got.Header)
	}
}

// HOOK-16, HOOK-17: every way in which a call fails has words of its own that hold nothing secret.
func TestFailuresOfCalls(t *testing.T) {
	const canary = "CANARY"
	ended := make(chan struct{})
	var reached atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inside.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, inside.URL+"/"+canary, http.StatusTemporaryRedirect)
		case "/status":
			w.Header().Set("Retry-After", "7")
			http.Error(w, canary, http.StatusServiceUnavailable)
		case "/huge":
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
					return
				}
			}
		case "/slow":
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-ended:
			case <-r.Context().Done():
			}
		case "/headers":
			w.Header().Set("X", strings.Repeat("x", 64<<10))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, canary)
		}
	}))
	defer s.Close()
	defer close(ended)
	for _, c := range []struct {
		name, url, says string
		guard           Guard
	}{
		{"redirect", s.URL + "/redirect?" + canary, "status 307; redirects are not followed", loopback},
		{"status", s.URL + "/status", "status 503", loopback},
		{"huge", s.URL + "/huge", "more than 1000 bytes", loopback},
		{"slow", s.URL + "/slow", "in time", loopback},
		{"headers", s.URL + "/headers", "cannot be reached", loopback},
		{"cut", s.URL + "/cut", "cannot be reached", loopback},
		{"nobody", "http://127.0.0.1:1/" + canary, "cannot be reached", loopback},
		{"certificate", secure.URL, "certificate", loopback},
		{"blocked", "http://canary.test:" + port(s.URL) + "/" + canary, "not allowed", Guard{}},
		{"no name", "https://nowhere.invalid/" + canary, "cannot be resolved", Guard{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			call := newTestCaller(t, c.url, c.guard, func(e *Endpoint) {
				if c.name == "slow" {
					e.Timeout = 50 * time.Millisecond
				}
				if c.name == "blocked" || c.name == "no name" {
					e.Resolver = resolver(t, func() []string { return map[string][]string{"blocked": {"127.0.0.1"}}[c.name] })
				}
			})
			_, err := call.post(t.Context(), "id", []byte(canary), 1000)
			var f *failure
			if !errors.As(err, &f) || !strings.Contains(f.words, c.says) {
				t.Fatalf("%v, want %q", err, c.says)
			}
			if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "MfKQ") {
				t.Errorf("it holds a secret: %v", err)
			}
			if c.name == "status" && f.after != 7*time.Second {
				t.Errorf("retry after %v", f.after)
			}
			if got := call.counts.read(); got.Made != 1 || got.Failed != 1 {
				t.Errorf("counted %+v", got)
			}
		})
	}
	if reached.Load() != 0 {
		t.Error("HOOK-16: a redirect was followed")
	}
}

func port(url string) string { return url[strings.LastIndex(url, ":")+1:] }

// HOOK-16: a name that resolves to an allowed address first and to another then reaches the allowed one or
// nothing: what was judged is what is called.
func TestRebindingIsBlocked(t *testing.T) {
	var allowed, others atomic.Int64
	free, err := child.FreePort()
	must(t, err)
	outer, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", free))
	must(t, err)
	inner, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", free))
	must(t, err)
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	other.Listener = inner
	other.Start()
	defer other.Close()
	good := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		allowed.Add(1)
		w.Header().Set("Connection", "close")
	}))
	good.Listener = outer
	good.Start()
	defer good.Close()

	turns := [][]string{{"127.0.0.1"}, {"127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}, {"169.254.169.254"}}
	for _, turn := range turns {
		var asked atomic.Int64
		c := newTestCaller(t, "http://hook.test:"+port(outer.Addr().String())+"/", loopback, func(e *Endpoint) {
			e.Resolver = resolver(t, func() []string {
				if asked.Add(1) == 1 {
					return turn
				}
				return []string{"127.0.0.2"}
			})
		})
		for range 3 {
			_, _ = c.post(context.Background(), "id", nil, 10)
		}
	}
	if allowed.Load() == 0 || others.Load() != 0 {
		t.Errorf("%d calls of the allowed address, %d of another", allowed.Load(), others.Load())
	}
}

// resolver answers every question for an IPv4 address with what next gives; nothing: there is no such name.
func resolver(t *testing.T, next func() []string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(dnsAnswer(buf[:n], next), from)
		}
	}()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// dnsAnswer answers one question (RFC 1035): A records for type A, nothing for others.
func dnsAnswer(query []byte, next func() []string) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, type and class
	out := append([]byte(nil), query[:end]...)
	out[2], out[3] = 0x84, 0 // an authoritative answer
	clear(out[6:12])
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		return out
	}
	ips := next()
	if len(ips) == 0 {
		out[3] = 3 // no such name
	}
	out[7] = byte(len(ips))
	for _, ip := range ips {
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, netip.MustParseAddr(ip).AsSlice()...)
	}
	return out
}

// HOOK-10: Retry-After is taken in both of its forms (RFC 9110, 10.2.3), however much it asks for.
func TestRetryAfter(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for asked, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "0": 0, "-5": 0, "": 0, "soon": 0, "86400": maxPause, "99999999999999999999": maxPause,
		"Sat, 28 Nov 2026 12:02:00 GMT": 2 * time.Minute, "Sat, 28 Nov 2026 11:00:00 GMT": 0, "Sun, 29 Nov 2026 12:00:00 GMT": maxPause,
	} {
		if got := retryAfter(asked, at); got != want {
			t.Errorf("%q: %v, want %v", asked, got, want)
		}
	}
}
