package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hanging is a server that takes its first request and never answers it, as through a connection that the
// network has forgotten; later ones it answers with text.
func hanging(t *testing.T, text string, seen func(body string)) *httptest.Server {
	t.Helper()
	var requests atomic.Int32
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if requests.Add(1) == 1 {
			<-release
			return
		}
		seen(string(body))
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	return server
}

// TAG-2: a send that hears nothing is sent again, with the same tag, on a connection of its own; its data
// goes as it was given (DATA-1).
func TestSendGivesUpOnADeafConnection(t *testing.T) {
	got := make(chan string, 100)
	server := hanging(t, `{"seq":1}`, func(body string) { got <- body })
	s := sendCommand{
		Room: "chat:a", Data: `{"a":"<b> & c"}`, Type: "message", Tag: "0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e",
		Timeout: time.Minute, remoteFlags: remoteFlags{URL: server.URL, Token: "t", patience: 50 * time.Millisecond},
	}
	var out bytes.Buffer
	if err := s.Run(&console{out: &out, err: io.Discard}); err != nil {
		t.Fatal(err)
	}
	if want, sent := `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e","type":"message","data":{"a":"<b> & c"}}`, <-got; sent != want {
		t.Errorf("sent %s, want %s", sent, want)
	}
	if out.String() != `{"seq":1}`+"\n" {
		t.Errorf("printed %q", out.String())
	}
}

// A text goes as it was typed, too.
func TestTextIsNotEscapedForPages(t *testing.T) {
	s := sendCommand{Text: "1 < 2 & 3"}
	body, err := s.body()
	if err != nil || string(body.Data) != `{"text":"1 < 2 & 3"}` {
		t.Errorf("%s, %v", body.Data, err)
	}
}

// A tail on a connection that has gone deaf polls anew.
func TestTailGivesUpOnADeafConnection(t *testing.T) {
	server := hanging(t, `{"epoch":"e","head":1,"position":"e:1:00000001","events":[]}`, func(string) {})
	r, err := remoteFlags{URL: server.URL, Token: "t", patience: 50 * time.Millisecond}.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{tail: &tailCommand{Room: "chat:a", Limit: 1}, server: r, console: &console{out: io.Discard, err: io.Discard}}
	if err := f.step(t.Context()); !errors.Is(err, errUnreachable) {
		t.Fatalf("the deaf connection: %v", err)
	}
	for tries := 1; ; tries++ { // a busy machine may be deaf for so short a time as well
		if err = f.step(t.Context()); err == nil || tries == 100 {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// A server that has no dev tokens to give is told apart from one that refuses this one.
func TestWhyThereIsNoDevToken(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":"not_found","title":"There is nothing here."}`: "gives no dev token: give --token or ROOMLOG_TOKEN",
		`{"code":"bad_request","title":"A user is a name."}`:    "A user is a name. (bad_request)",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		}))
		_, err := remoteFlags{URL: server.URL, User: "service:x"}.open(t.Context())
		server.Close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
