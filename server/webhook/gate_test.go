package webhook

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

var asked = room.Send{Room: "chat:a", Author: "mira <m>", Tag: room.Tag{1, 2, 3}, Type: "message", Data: []byte(`{"text":"<CANARY>"}`)}

// accepts is the check of a kind that takes messages and notes of objects.
func accepts(typ string, data []byte) ([]byte, error) {
	if typ != "message" && typ != "note" {
		return nil, &room.Error{Code: room.CodeBadType}
	}
	return room.CompactData(data, 100)
}

// HOOK-4, HOOK-6, HOOK-7: what the app answers, and what comes of it, where a failure refuses and where it
// accepts.
func TestGateAnswers(t *testing.T) {
	status, answer := 0, ""
	var got map[string]any
	var ids []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &got)
		ids = append(ids, r.Header.Get("webhook-id"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	const fails = "fails"
	for _, c := range []struct {
		name, answer string
		status       int
		typ, data    string // as stored; empty: as sent
		refused      string // the title, or fails
	}{
		{name: "empty", status: 204},
		{name: "an empty object", status: 200, answer: " {} "},
		{name: "allow", status: 200, answer: `{"allow":true,"more":1}`},
		{name: "nulls", status: 200, answer: `{"allow":null,"reason":null,"type":null,"data":null}`},
		{name: "refuse", status: 200, answer: `{"allow":false,"reason":"No links, please."}`, refused: "No links, please."},
		{name: "refuse without a reason", status: 201, answer: `{"allow":false}`, refused: "The app does not take this event."},
		{name: "refuse with nothing to show", status: 200, answer: `{"allow":false,"reason":"\u0000\u202e "}`, refused: "The app does not take this event."},
		{name: "refuse with signs", status: 200, answer: `{"allow":false,"reason":"a\n\u001b[31mb\u202ec\t d"}`, refused: "a [31mbc d"},
		{name: "refuse at length", status: 200, answer: `{"allow":false,"reason":"` + strings.Repeat("ü", 400) + `"}`, refused: strings.Repeat("ü", 299) + "…"},
		{name: "rewrite", status: 200, answer: `{"data":{"text": "<b>"}}`, data: `{"text":"<b>"}`},
		{name: "rewrite the type", status: 200, answer: `{"type":"note"}`, typ: "note"},
		{name: "rewrite both", status: 200, answer: `{"type":"note","data":[1, 2]}`, typ: "note", data: `[1,2]`},
		{name: "rewrite badly", status: 200, answer: `{"type":"virus"}`, refused: fails},
		{name: "rewrite at length", status: 200, answer: `{"data":"` + strings.Repeat("x", 100) + `"}`, refused: fails},
		{name: "not JSON", status: 200, answer: `ok`, refused: fails},
		{name: "a list", status: 200, answer: `[]`, refused: fails},
		{name: "null", status: 200, answer: `null`, refused: fails},
		{name: "a text for allow", status: 200, answer: `{"allow":"no"}`, refused: fails},
		{name: "status 500", status: 500, answer: `{"allow":true}`, refused: fails},
		{name: "status 404", status: 404, answer: `{"allow":true}`, refused: fails},
		{name: "status 302", status: 302, answer: `{"allow":true}`, refused: fails},
		{name: "a huge answer", status: 200, answer: `{"data":"` + strings.Repeat("x", 70<<10) + `"}`, refused: fails},
	} {
		for _, open := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				status, answer, got = c.status, c.answer, nil
				var log strings.Builder
				g, err := NewGate(GateConfig{Endpoint: Endpoint{Name: "before_append:chat", URL: s.URL, Secret: secret(t), Timeout: patience}, Accept: open},
					loopback, slog.New(slog.NewTextHandler(&log, nil)))
				must(t, err)
				defer g.Close()
				out, refused := g.Ask(t.Context(), asked, accepts)
				want := asked
				want.Sent = room.FingerprintOf(asked.Type, asked.Data)
				if c.typ != "" {
					want.Type = c.typ
				}
				if c.data != "" {
					want.Data = []byte(c.data)
				}
				switch {
				case c.refused == fails && !open:
					if refused == nil || refused.Code != room.CodeUnavailable || refused.RetryAfter < time.Second {
						t.Fatalf("%v, want unavailable", refused)
					}
				case c.refused != "" && c.refused != fails:
					if refused == nil || refused.Code != room.CodeRefused || refused.Title != c.refused {
						t.Fatalf("%v, want refused: %q", refused, c.refused)
					}
				case refused != nil || out.Type != want.Type || string(out.Data) != string(want.Data) || out.Sent != want.Sent || out.Tag != asked.Tag || out.Room != asked.Room || out.Author != asked.Author:
					t.Fatalf("%+v (%s), %v", out, out.Data, refused)
				}
				if (c.refused == fails) != strings.Contains(log.String(), "does not answer") || strings.Contains(log.String(), "CANARY") {
					t.Errorf("logged %q", log.String())
				}
			})
		}
	}
	for field, want := range map[string]string{"type": "before_append", "room": "chat:a", "author": "mira <m>", "tag": asked.Tag.String(), "event_type": "message"} {
		if got[field] != want {
			t.Errorf("HOOK-1: %s is %v, want %s", field, got[field], want)
		}
	}
	if data, _ := got["data"].(map[string]any); data["text"] != "<CANARY>" || len(got) != 6 {
		t.Errorf("HOOK-1: asked %v", got)
	}
	for _, id := range ids {
		if id != ids[0] || len(id) < 20 {
			t.Fatalf("HOOK-15: one event is asked about as %s and %s", ids[0], id)
		}
	}
}

// HOOK-15: another event under the tag of one that was asked about is another question. An app that has answered an
// id before would else let pass what it never looked at.
func TestQuestionsOfOneTag(t *testing.T) {
	var ids []string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("webhook-id"))
	}))
	defer s.Close()
	g, err := NewGate(GateConfig{Endpoint: Endpoint{URL: s.URL, Secret: secret(t), Timeout: patience}}, loopback, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	data, typ := asked, asked
	data.Data, typ.Type = []byte(`{"text":"other"}`), "note"
	for _, e := range []room.Send{asked, asked, data, typ} {
		if _, err := g.Ask(t.Context(), e, accepts); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] || ids[0] == ids[2] || ids[0] == ids[3] || ids[2] == ids[3] {
		t.Errorf("ids of an event, the same, one of other data and one of another type: %v", ids)
	}
}
