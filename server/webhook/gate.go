package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"roomlog/server/room"
)

// GateConfig says whom a gate asks.
type GateConfig struct {
	Endpoint
	// Accept takes events as they were sent where there is no good answer; else they are refused for now.
	Accept bool
	// AnswerBytes is the most of an answer that is read; default 64 KiB. An event is in it that was rewritten.
	AnswerBytes int
}

// Gate is a [room.Gate] that asks the app's server: the before_append webhook. Close it in the end.
type Gate struct {
	cfg    GateConfig
	caller *caller
	log    *slog.Logger
	failed atomic.Bool // the last call
}

// NewGate makes a gate; the error says what is wrong with the endpoint.
func NewGate(cfg GateConfig, guard Guard, log *slog.Logger) (*Gate, error) {
	if cfg.AnswerBytes <= 0 {
		cfg.AnswerBytes = maxAnswer
	}
	c, err := newCaller(cfg.Endpoint, guard)
	if err != nil {
		return nil, err
	}
	return &Gate{cfg: cfg, caller: c, log: log}, nil
}

// Close lets go of connections that are not in use; those of calls under way go with them.
func (g *Gate) Close() { g.caller.close() }

// Name is the endpoint's.
func (g *Gate) Name() string { return g.cfg.Name }

// Calls counts since the gate was made.
func (g *Gate) Calls() Calls { return g.caller.counts.read() }

// question is what the app is asked. There is no token in it.
type question struct {
	Type      string          `json:"type"`
	Room      room.ID         `json:"room"`
	Author    string          `json:"author"`
	Tag       string          `json:"tag"`
	EventType string          `json:"event_type"`
	Data      json.RawMessage `json:"data"`
}

// verdict is what the app answers. All of it may be left out, and null is as good as left out: many languages
// write what they do not set as null.
type verdict struct {
	Allow  *bool           `json:"allow"`
	Reason *string         `json:"reason"`
	Type   *string         `json:"type"`
	Data   json.RawMessage `json:"data"`
}

// Ask implements room.Gate (rules HOOK-1 to HOOK-7).
func (g *Gate) Ask(ctx context.Context, s room.Send, check func(string, []byte) ([]byte, error)) (room.Send, *room.Error) {
	asked := s
	asked.Sent = room.FingerprintOf(s.Type, s.Data)
	v, err := g.call(ctx, &s)
	if err == nil && v.Allow != nil && !*v.Allow {
		g.answered()
		return s, &room.Error{Code: room.CodeRefused, Title: v.reason()}
	}
	if err == nil {
		asked, err = v.rewrite(asked, check)
	}
	switch {
	case err == nil:
		g.answered()
		return asked, nil
	case ctx.Err() != nil: // nobody waits for the answer any more
	case g.failed.CompareAndSwap(false, true):
		g.log.Warn("webhook does not answer", "hook", g.cfg.Name, "why", err.Error(), "accepts", g.cfg.Accept)
	}
	if g.cfg.Accept && ctx.Err() == nil {
		return asked, nil
	}
	return s, &room.Error{
		Code: room.CodeUnavailable, RetryAfter: max(err.after, time.Second),
		Title: "The app, which is asked about each event, does not answer; try again.",
	}
}

func (g *Gate) answered() {
	if g.failed.CompareAndSwap(true, false) {
		g.log.Info("webhook answers again", "hook", g.cfg.Name)
	}
}

func (g *Gate) call(ctx context.Context, s *room.Send) (verdict, *failure) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // the data is the text that was sent
	err := encoder.Encode(question{"before_append", s.Room, s.Author, s.Tag.String(), s.Type, s.Data})
	if err != nil {
		return verdict{}, &failure{words: "the question cannot be written"}
	}
	answer, err := g.caller.post(ctx, questionID(s), bytes.TrimSuffix(body.Bytes(), []byte("\n")), g.cfg.AnswerBytes)
	if err != nil {
		return verdict{}, failureOf(err)
	}
	var v verdict
	if answer = bytes.TrimSpace(answer); len(answer) == 0 {
		return v, nil
	}
	if answer[0] != '{' || json.Unmarshal(answer, &v) != nil {
		return v, &failure{words: "its answer is not a JSON object with allow, reason, type and data"}
	}
	return v, nil
}

// questionID is the same for every question about one event, so that the app can tell a repeat. What the event says
// is part of it: before an event is stored, its author may send another one with its tag.
func questionID(s *room.Send) string {
	content := room.FingerprintOf(s.Type, s.Data)
	return "ask_" + digest(string(s.Room), s.Author, s.Tag.String(), hex.EncodeToString(content[:]))
}

// digest is 128 bits that stand for texts, none of which has a zero byte.
func digest(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

func (v *verdict) rewrite(s room.Send, check func(string, []byte) ([]byte, error)) (room.Send, *failure) {
	if string(v.Data) == "null" {
		v.Data = nil
	}
	if v.Type == nil && v.Data == nil {
		return s, nil
	}
	typ, data := s.Type, s.Data
	if v.Type != nil {
		typ = *v.Type
	}
	if v.Data != nil {
		data = v.Data
	}
	compacted, err := check(typ, data)
	if err != nil {
		return s, &failure{words: "it rewrote an event into one that may not be stored (" + string(room.AsError(err).Code) + ")"}
	}
	s.Type, s.Data = typ, compacted
	return s, nil
}

// maxReason is the longest reason that is shown to a user, in characters.
const maxReason = 300

// reason is what the user sees: the app's words without what could break a line or a terminal.
func (v *verdict) reason() string {
	if v.Reason == nil {
		return "The app does not take this event."
	}
	text := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.In(r, unicode.Cf), r == utf8.RuneError: // Cf: bidirectional overrides among them
			return -1
		}
		return r
	}, *v.Reason)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason-1]) + "…"
	}
	if text == "" {
		return "The app does not take this event."
	}
	return text
}

// failureOf is an error of a call as a failure.
func failureOf(err error) *failure {
	if f, ok := err.(*failure); ok {
		return f
	}
	return &failure{words: "the call was given up"}
}
