package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// event posts an event of any type and expects a status, and with a refusal its code.
func (f *fixture) event(token string, tag int, typ, data string, status int, code ...room.Code) answer {
	f.t.Helper()
	a := f.request("POST", "/v1/rooms/chat:a/events", token, fmt.Sprintf(`{"tag":%q,"type":%q,"data":%s}`, tagOf(tag), typ, data))
	if a.status != status || len(code) > 0 && a.code() != string(code[0]) {
		f.t.Fatalf("%s %s: %d %s, want %d %v", typ, data, a.status, a.text, status, code)
	}
	return a
}

// events are those of a page of chat:a, by what its query asks for, as u1 is given them.
func (f *fixture) events(query string) []map[string]any {
	f.t.Helper()
	return f.eventsAs("u1", query)
}

func (f *fixture) eventsAs(user, query string) []map[string]any {
	f.t.Helper()
	a := f.request("GET", "/v1/rooms/chat:a/events?"+query, f.token(user), "")
	if a.status != 200 {
		f.t.Fatal(a.text)
	}
	var events []map[string]any
	for _, e := range a.body["events"].([]any) {
		events = append(events, e.(map[string]any))
	}
	return events
}

func some(can ...auth.Action) auth.Grant { return auth.Grant{Rooms: "chat:*", Can: can} }

// CHG-9: who asks is named among those who reacted, also behind the first ten.
func TestOwnReactionIsNamed(t *testing.T) {
	f := start(t, options{})
	f.event(f.token("u0"), 1, "message", `{"text":"popular"}`, 201)
	for i := range 12 {
		f.event(f.token(fmt.Sprint("u", i)), 2+i, "reaction", `{"target":1,"emoji":"👍"}`, 201)
	}
	for user, want := range map[string]string{
		"u1": "[u0 u1 u2 u3 u4 u5 u6 u7 u8 u9]", "u11": "[u0 u1 u2 u3 u4 u5 u6 u7 u8 u9 u11]", "u12": "[u0 u1 u2 u3 u4 u5 u6 u7 u8 u9]",
	} {
		for _, query := range []string{"before=2", "around=1"} {
			got := f.eventsAs(user, query)[0]["reactions"].([]any)[0].(map[string]any)
			if fmt.Sprint(got["users"]) != want || got["count"] != 12.0 {
				t.Errorf("%s, %s: %v, want %s", query, user, got, want)
			}
		}
	}
}

// A message is edited, reacted to and deleted: what comes as it was sent, and what as present content.
func TestMessagesThatChange(t *testing.T) {
	f := start(t, options{})
	u1, u2 := f.token("u1", some(auth.Read, auth.Send)), f.token("u2", some(auth.Read, auth.Send))
	f.event(u1, 1, "message", `{"text":"canary one"}`, 201)
	for i, text := range []string{"canary two", "canary three"} {
		if a := f.event(u1, 2+i, "edit", `{"target":1,"data":{"text":"`+text+`"}}`, 201); a.body["target"] != 1.0 || a.body["seq"] != float64(2+i) { // CHG-1
			t.Error(a.text)
		}
	}
	f.event(u1, 4, "reaction", `{"target":"`+tagOf(1)+`","emoji":"👍"}`, 201)
	for tag := 5; tag < 8; tag++ { // CHG-6: twice is once
		if a := f.event(u2, tag, "reaction", `{"target":1,"emoji":"👍"}`, 201); a.body["target"] != 1.0 {
			t.Error(a.text)
		}
	}
	f.event(u2, 8, "reaction", `{"target":1,"emoji":"never","remove":true}`, 201)
	f.event(u2, 9, "edit", `{"target":"`+tagOf(1)+`","data":1}`, 404, room.CodeUnknownTarget) // CHG-1: another's tag
	for _, query := range []string{"before=100", "around=1", "around=1&limit=1"} {
		e := f.events(query)[0]
		if e["data"].(map[string]any)["text"] != "canary three" || e["edited"].(map[string]any)["seq"] != 3.0 { // CHG-5, CHG-9
			t.Errorf("%s: %v", query, e)
		}
		if got := fmt.Sprint(e["reactions"]); got != "[map[count:2 emoji:👍 users:[u1 u2]]]" { // CHG-6, CHG-9
			t.Errorf("%s: %s", query, got)
		}
	}
	for _, e := range f.events("after=0") { // CHG-9: as it was sent
		if e["edited"] != nil || e["reactions"] != nil || e["seq"] == 1.0 && e["data"].(map[string]any)["text"] != "canary one" {
			t.Errorf("CHG-9: after gives %v", e)
		}
	}
	f.event(u2, 10, "reaction", `{"target":1,"emoji":"👍","remove":true}`, 201)
	if got := fmt.Sprint(f.events("around=1")[0]["reactions"]); got != "[map[count:1 emoji:👍 users:[u1]]]" {
		t.Error(got)
	}
	gone := f.event(u1, 11, "delete", `{"target":1,"reason":"told too much"}`, 201)
	seq := gone.body["seq"].(float64)
	for _, query := range []string{"after=0", "before=100", "around=1"} { // CHG-7
		a := f.request("GET", "/v1/rooms/chat:a/events?"+query, u2, "")
		if strings.Contains(a.text, "canary") {
			t.Errorf("CHG-7: %s gives %s", query, a.text)
		}
		for i, e := range f.events(query)[:3] {
			left, _ := e["deleted"].(map[string]any)
			if e["data"] != nil || left["seq"] != seq || left["by"] != "u1" || left["at"] != gone.body["at"] || e["edited"] != nil || e["reactions"] != nil {
				t.Errorf("CHG-7: %s: %v", query, e)
			}
			if e["tag"] != tagOf(i+1) || e["author"] != "u1" || e["seq"] != float64(i+1) {
				t.Errorf("CHG-7: %s: %v", query, e)
			}
		}
	}
	for i, c := range []struct{ typ, data string }{ // CHG-3
		{"edit", `{"target":1,"data":1}`},
		{"delete", `{"target":1}`},
		{"reaction", `{"target":1,"emoji":"x"}`},
		{"delete", `{"target":2}`},
		{"delete", `{"target":4}`},
		{"delete", `{"target":5000}`},
		{"edit", `{"target":"` + tagOf(999) + `","data":1}`},
	} {
		if a := f.event(u1, 20+i, c.typ, c.data, 404, room.CodeUnknownTarget); a.body["field"] != "target" || a.body["retryable"] != false {
			t.Error(a.text)
		}
	}
}

// A repeat of a send whose message was deleted is a duplicate still, and is told what is left, over every transport; another
// event with its tag is refused.
func TestRepeatOfADeletedSend(t *testing.T) { // TAG-3, TAG-4, CHG-7
	f := start(t, options{})
	u1 := f.token("u1")
	const data = `{"text":"canary"}`
	f.event(u1, 1, "message", data, 201)
	f.event(u1, 2, "edit", `{"target":1,"data":"canary"}`, 201)
	f.event(u1, 3, "delete", `{"target":1}`, 201)
	for tag, sent := range map[int][2]string{1: {"message", data}, 2: {"edit", `{"target":1,"data":"canary"}`}} {
		a := f.event(u1, tag, sent[0], sent[1], 200)
		if a.body["duplicate"] != true || a.body["seq"] != float64(tag) || a.body["data"] != nil || a.body["deleted"].(map[string]any)["seq"] != 3.0 {
			t.Error(a.text)
		}
		if _, has := a.body["data"]; !has || strings.Contains(a.text, "canary") {
			t.Error(a.text)
		}
		f.event(u1, tag, sent[0], `{"target":1,"data":"other"}`, 409, room.CodeTagConflict)
	}
	a := f.request("POST", "/v1/rooms/chat:a/events", u1, `{"events":[{"tag":"`+tagOf(1)+`","type":"message","data":`+data+`}]}`)
	if a.status != 200 || strings.Contains(a.text, "canary") || !strings.Contains(a.text, `"deleted":{"seq":3,"by":"u1"`) {
		t.Error(a.text)
	}
	p := f.login("u1")
	p.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"message","data":%s}`, tagOf(1), data)
	if m := p.expect("ack"); m["duplicate"] != true || m["seq"] != 1.0 || m["deleted"].(map[string]any)["by"] != "u1" {
		t.Error(m)
	}
	p.sendf(`{"op":"send","id":2,"n":2,"room":"chat:a","tag":%q,"type":"delete","data":{"target":1}}`, tagOf(3))
	if m := p.expect("ack"); m["duplicate"] != true || m["target"] != 1.0 || m["deleted"] != nil {
		t.Error(m)
	}
}

// Sends of one connection are judged in their order: a change may name by its tag what is still on its way. Another connection
// of the same user, and another user who may, change it as well.
func TestChangesBehindTheirMessage(t *testing.T) { // CHG-2, SEND-8
	f := start(t, options{})
	p := f.login("u1", some(auth.Read, auth.Send))
	frames, n := []byte(nil), 0
	send := func(tag int, typ, data string) {
		n++
		frames = append(frames, frame(0x81, fmt.Appendf(nil, `{"op":"send","id":%d,"n":%d,"room":"chat:a","tag":%q,"type":%q,"data":%s}`, n, n, tagOf(tag), typ, data))...)
	}
	send(1, "edit", `{"target":"`+tagOf(2)+`","data":1}`) // before its message
	send(2, "message", `{"text":"a"}`)
	send(3, "edit", `{"target":"`+tagOf(2)+`","data":{"text":"b"}}`)
	send(4, "reaction", `{"target":"`+tagOf(2)+`","emoji":"👍"}`)
	send(5, "delete", `{"target":"`+tagOf(2)+`"}`)
	send(6, "edit", `{"target":"`+tagOf(2)+`","data":{"text":"c"}}`) // behind its end
	send(7, "message", `{"text":"d"}`)
	p.write(frames)
	answers := map[float64]map[string]any{}
	for range n {
		m := p.object()
		answers[m["id"].(float64)] = m
	}
	for id, code := range map[float64]string{1: "unknown_target", 6: "unknown_target"} {
		if answers[id]["code"] != code {
			t.Errorf("send %v: %v", id, answers[id])
		}
	}
	for i, id := range []float64{2, 3, 4, 5, 7} {
		if m := answers[id]; m["op"] != "ack" || m["seq"] != float64(i+1) || (m["target"] == 1.0) != (i > 0 && i < 4) {
			t.Errorf("send %v: %v", id, m)
		}
	}
	other := f.login("u1", some(auth.Read, auth.Send))
	other.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"edit","data":{"target":"%s","data":{"text":"e"}}}`, tagOf(8), tagOf(7))
	if m := other.expect("ack"); m["seq"] != 6.0 || m["target"] != 5.0 {
		t.Error(m)
	}
	moderator := f.login("u2", some(auth.Read, auth.Send, auth.Moderate))
	moderator.sendf(`{"op":"join","id":1,"room":"chat:a","position":0}`)
	joined := moderator.expect("joined")
	moderator.sendf(`{"op":"send","id":2,"n":1,"room":"chat:a","tag":%q,"type":"delete","data":{"target":5}}`, tagOf(9))
	for range 2 { // the ack and the page, in either order
		switch m := moderator.object(); m["op"] {
		case "ack":
			if m["seq"] != 7.0 || m["target"] != 5.0 {
				t.Error(m)
			}
		case "page":
			e := m["events"].([]any)[0].(map[string]any)
			if e["type"] != "delete" || e["target"] != 5.0 || m["prev"] != 6.0 { // CHG-8
				t.Error(m)
			}
		default:
			t.Error(m)
		}
	}
	if page := joined["page"].(map[string]any); page["seq"] != 6.0 {
		t.Error(joined)
	}
	if e := f.events("around=5&limit=1")[0]; e["data"] != nil || e["deleted"].(map[string]any)["by"] != "u2" {
		t.Error(e)
	}
}

// Who may change what: by grant, and by what the kind says.
func TestWhoMayChangeMessages(t *testing.T) { // CHG-4
	all := room.Policy{}
	moderators := room.Policy{Changes: room.Changes{Edit: room.ByModerators, Delete: room.ByModerators}}
	off := room.Policy{Changes: room.Changes{Edit: room.ByNobody, Delete: room.ByNobody, NoReactions: true}}
	late := room.Policy{Changes: room.Changes{Within: time.Nanosecond}}
	const edit, remove, react = `{"target":1,"data":1}`, `{"target":1}`, `{"target":1,"emoji":"x"}`
	for name, c := range map[string]struct {
		policy room.Policy
		user   string
		can    []auth.Action
		typ    string
		data   string
		field  string // of what is forbidden; "" where it is taken
	}{
		"own":                         {all, "u1", nil, "edit", edit, ""},
		"another's":                   {all, "u2", nil, "edit", edit, "target"},
		"another's, by a moderator":   {all, "u2", []auth.Action{auth.Moderate}, "delete", remove, ""},
		"another's, by an admin":      {all, "u2", []auth.Action{auth.Admin}, "edit", edit, ""},
		"own, too late":               {late, "u1", nil, "edit", edit, "target"},
		"late, by a moderator":        {late, "u1", []auth.Action{auth.Moderate}, "edit", edit, ""},
		"a reaction is never late":    {late, "u2", nil, "reaction", react, ""},
		"own, where moderators do":    {moderators, "u1", nil, "delete", remove, "target"},
		"a moderator, where they do":  {moderators, "u2", []auth.Action{auth.Moderate}, "delete", remove, ""},
		"own, where nobody does":      {off, "u1", nil, "delete", remove, "target"},
		"an admin, where nobody does": {off, "u1", []auth.Action{auth.Admin}, "edit", edit, "target"},
		"reactions, where none are":   {off, "u1", nil, "reaction", react, "type"},
		"members, by anybody":         {all, "u1", nil, "member", `{"user":"u2","role":"member"}`, "type"},
		"members, by a moderator":     {all, "u1", []auth.Action{auth.Moderate}, "member", `{"user":"u2","role":"member"}`, "type"},
		"members, by an admin":        {all, "u1", []auth.Action{auth.Admin}, "member", `{"user":"u2","role":"member"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, options{server: func(cfg *Config) { cfg.Kinds = room.NewKinds(map[string]room.Policy{"chat": c.policy}) }})
			f.event(f.token("u1"), 1, "message", `"m"`, 201)
			token := f.token(c.user, some(append(c.can, auth.Read, auth.Send)...))
			if c.field == "" {
				f.event(token, 2, c.typ, c.data, 201)
			} else if a := f.event(token, 2, c.typ, c.data, 403, room.CodeForbidden); a.body["field"] != c.field {
				t.Error(a.text)
			}
		})
	}
}

// What is malformed is refused for what it is, over every transport, and uses its n; a repeat of a message is known before.
func TestMalformedChanges(t *testing.T) { // CHG-1
	f := start(t, options{server: func(cfg *Config) {
		cfg.Kinds = room.NewKinds(map[string]room.Policy{"chat": {Types: map[string]room.Schema{"message": texts{}, "edit": nil, "delete": nil}}})
	}})
	u1 := f.token("u1")
	f.event(u1, 1, "message", `{"text":"a"}`, 201)
	p := f.login("u1")
	for i, c := range []struct {
		typ, data string
		code      room.Code
		field     string
	}{
		{"edit", `{"data":{"text":"b"}}`, room.CodeBadData, "data/target"},
		{"edit", `{"target":1}`, room.CodeBadData, "data/data"},
		{"edit", `{"target":1,"data":{"text":7}}`, room.CodeBadData, "data/data/text"}, // DATA-6: the schema of messages
		{"delete", `{"target":"x"}`, room.CodeBadData, "data/target"},
		{"message", `{"text":"a","mentions":["service:x"]}`, room.CodeBadData, "data/mentions"},
		{"reaction", `{"target":1,"emoji":"x"}`, room.CodeBadType, "type"}, // DATA-5
	} {
		if a := f.event(u1, 10, c.typ, c.data, 400, c.code); a.body["field"] != c.field {
			t.Error(a.text)
		}
		p.sendf(`{"op":"send","id":%d,"n":%d,"room":"chat:a","tag":%q,"type":%q,"data":%s}`, i, i+1, tagOf(10), c.typ, c.data)
		if m := p.expectError(c.code); m["field"] != c.field {
			t.Error(m)
		}
	}
	f.event(u1, 10, "edit", `{"target":1,"data":{"text":"b"}}`, 201)
}

// texts is a schema: data has a text.
type texts struct{}

func (texts) Check(data []byte) *room.Error {
	if strings.Contains(string(data), `"text":"`) {
		return nil
	}
	return &room.Error{Code: room.CodeBadData, Title: "It has no text.", Field: "data/text"}
}

// rewriting is a gate that puts something else in place of what was sent, once it passes check.
type rewriting map[string][2]string // by the data that was sent: type and data

func (g rewriting) Ask(_ context.Context, s room.Send, check func(string, []byte) ([]byte, error)) (room.Send, *room.Error) {
	to, rewrites := g[string(s.Data)]
	if !rewrites {
		return s, nil
	}
	data, err := check(to[0], []byte(to[1]))
	if err != nil {
		return s, &room.Error{Code: room.CodeUnavailable, Title: room.AsError(err).Field}
	}
	s.Sent = room.FingerprintOf(s.Type, s.Data)
	s.Type, s.Data = to[0], data
	return s, nil
}

// What a webhook puts in place of what was sent is what counts, and is judged as if its author had sent it.
func TestRewrittenChanges(t *testing.T) { // HOOK-6, CHG-1
	f := start(t, options{server: func(cfg *Config) {
		cfg.Kinds = room.NewKinds(map[string]room.Policy{"chat": {Before: rewriting{
			`{"target":1,"data":"rude"}`: {"edit", `{"target":1,"data":"r***"}`},
			`"/undo"`:                    {"delete", `{"target":1}`},
			`{"target":2}`:               {"message", `"no"`},
			`{"target":3}`:               {"delete", `{"target":0}`},
			`"/make"`:                    {"member", `{"user":"u2","role":"owner"}`},
		}}})
	}})
	u1 := f.token("u1", some(auth.Read, auth.Send))
	f.event(u1, 1, "message", `"m"`, 201)
	if a := f.event(u1, 2, "edit", `{"target":1,"data":"rude"}`, 201); a.body["target"] != 1.0 {
		t.Error(a.text)
	}
	if e := f.events("around=1&limit=1")[0]; e["data"] != "r***" {
		t.Errorf("the present content is %v", e)
	}
	if a := f.event(u1, 3, "delete", `{"target":2}`, 201); a.body["type"] != "message" || a.body["target"] != nil {
		t.Error(a.text)
	}
	if a := f.event(u1, 4, "delete", `{"target":3}`, 503, room.CodeUnavailable); a.body["title"] != "data/target" {
		t.Error(a.text)
	}
	f.event(u1, 5, "message", `"/make"`, 503, room.CodeUnavailable) // its author may not
	if a := f.event(u1, 6, "message", `"/undo"`, 201); a.body["type"] != "delete" || a.body["target"] != 1.0 {
		t.Error(a.text)
	}
	if e := f.events("around=1&limit=1")[0]; e["data"] != nil || e["deleted"].(map[string]any)["by"] != "u1" {
		t.Error(e)
	}
	if a := f.event(u1, 6, "message", `"/undo"`, 200); a.body["type"] != "delete" || a.body["target"] != 1.0 {
		t.Error(a.text)
	}
}
