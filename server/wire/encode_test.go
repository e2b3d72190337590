package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"roomlog/server/room"
)

var event = room.Event{
	Seq: 412, Mark: 0x6f1c0a2b, Type: "message", Author: "ann \"é\"", Tag: room.Tag{0x01, 15: 0xff},
	At: time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.FixedZone("", 3600)), Data: []byte(`{"text":"hi"}`),
}

const eventText = `{"room":"chat:a","seq":412,"type":"message","author":"ann \"é\"","tag":"01000000-0000-0000-0000-0000000000ff","at":"2026-11-23T09:00:00.123456Z","data":{"text":"hi"}}`

func TestFramesAsTheContractShowsThem(t *testing.T) {
	page := Page{Room: "chat:a", Epoch: "k3f9", Prev: 411, Seq: 412, Mark: event.Mark}
	encoded := AppendEvent(nil, "chat:a", &event)
	span := `"prev":411,"seq":412,"position":"k3f9:412:6f1c0a2b","events":[` + eventText + `]`
	for _, c := range []struct{ name, got, want string }{
		{"ROOM-6 event", string(encoded), eventText},
		{
			"HTTP-1 stored", string(AppendStored(nil, "chat:a", "k3f9", &event, false)),
			strings.Replace(eventText, `"seq"`, `"epoch":"k3f9","seq"`, 1),
		},
		{
			"HTTP-2 duplicate", string(AppendStored(nil, "chat:a", "k3f9", &event, true)),
			strings.TrimSuffix(strings.Replace(eventText, `"seq"`, `"epoch":"k3f9","seq"`, 1), "}") + `,"duplicate":true}`,
		},
		{
			"POLL-2 polled", string(AppendPolled(nil, page, 1, 412, nil, encoded)),
			`{"room":"chat:a","epoch":"k3f9","floor":1,"head":412,` + span + `}`,
		},
		{
			"POS-2 empty room", string(AppendPolled(nil, Page{Room: "chat:a", Epoch: "k3f9"}, 1, 0, nil, nil)),
			`{"room":"chat:a","epoch":"k3f9","floor":1,"head":0,"prev":0,"seq":0,"position":"k3f9:0","events":[]}`,
		},
		{
			"JOIN-2 joined", string(Joined{Page: page, ID: 1, HasID: true, Floor: 1, Head: 412, Events: encoded}.Append(nil)),
			`{"op":"joined","id":1,"room":"chat:a","epoch":"k3f9","floor":1,"head":412,"page":{` + span + `}}`,
		},
		{
			"JOIN-7 joined with a reset", string(Joined{Page: page, Floor: 1, Head: 412, Reset: room.ResetEpoch, Events: encoded}.Append(nil)),
			`{"op":"joined","room":"chat:a","epoch":"k3f9","floor":1,"head":412,"reset":{"reason":"epoch"},"page":{` + span + `}}`,
		},
		{
			"ACK-2 ack", string(Ack{ID: 2, HasID: true, Room: "chat:a", Epoch: "k3f9", Seq: 413, At: event.At, Tag: event.Tag}.Append(nil)),
			`{"op":"ack","id":2,"room":"chat:a","seq":413,"epoch":"k3f9","at":"2026-11-23T09:00:00.123456Z","tag":"01000000-0000-0000-0000-0000000000ff","duplicate":false}`,
		},
		{
			"RESET-2 reset", string(Reset{Room: "chat:a", Reason: room.ResetPruned, Epoch: "k3f9", Floor: 5, Head: 9}.Append(nil)),
			`{"op":"reset","room":"chat:a","reason":"pruned","epoch":"k3f9","floor":5,"head":9}`,
		},
		{
			"ERR-2 error", string(Failure{
				ID: 0, HasID: true, Room: "chat:a", Tag: "t",
				Err: &room.Error{Code: room.CodeRateLimited, Title: "Slow.", Field: "x", Limit: 5, RetryAfter: 799*time.Millisecond + 1},
			}.Append(nil)),
			`{"op":"error","id":0,"room":"chat:a","tag":"t","code":"rate_limited","title":"Slow.","field":"x","limit":5,"retryable":true,"retry_after_ms":800}`,
		},
		{
			"ERR-2 bare error", string(Failure{Room: strings.Repeat("x", 201), Err: &room.Error{Code: room.CodeBadRoom, Title: "No."}}.Append(nil)),
			`{"op":"error","code":"bad_room","title":"No.","retryable":false}`,
		},
		{
			"AUTH-7 welcome", string(Welcome{Connection: "c", User: "u1", PingMS: 10000, Version: 1, Limits: []byte(`{"rooms":200}`)}.Append(nil)),
			`{"op":"welcome","connection":"c","user":"u1","ping_ms":10000,"version":1,"limits":{"rooms":200}}`,
		},
		{
			"NODE-1 welcome", string(Welcome{Connection: "c", User: "u1", PingMS: 10000, Version: 1, Limits: []byte(`{}`), Node: "a1"}.Append(nil)),
			`{"op":"welcome","connection":"c","user":"u1","ping_ms":10000,"version":1,"limits":{},"node":"a1"}`,
		},
		{
			"NODE-2 degraded", string(WebSocket.AppendDegraded(nil, Degraded{Parts: []string{"bus"}, WithinMS: 1000})),
			"\x81\x32" + `{"op":"degraded","parts":["bus"],"within_ms":1000}`,
		},
		{"NODE-2 well again", string(WebSocket.AppendDegraded(nil, Degraded{})), "\x81\x1c" + `{"op":"degraded","parts":[]}`},
		{
			"NODE-2 degraded stream", string(EventStream.AppendDegraded(nil, Degraded{Parts: []string{"bus", "x"}, WithinMS: 1000})),
			"event: degraded\ndata: {\"parts\":[\"bus\",\"x\"],\"within_ms\":1000}\n\n",
		},
		{
			"NODE-3 degraded poll", string(AppendPolled(nil, Page{Room: "chat:a", Epoch: "k3f9"}, 1, 0, []string{"bus"}, nil)),
			`{"room":"chat:a","epoch":"k3f9","floor":1,"head":0,"degraded":["bus"],"prev":0,"seq":0,"position":"k3f9:0","events":[]}`,
		},
		{
			"SSE-3 stream page", string(EventStream.AppendPage(nil, page, encoded)),
			"id: k3f9:412:6f1c0a2b\nevent: page\ndata: {\"room\":\"chat:a\",\"epoch\":\"k3f9\"," + span + "}\n\n",
		},
		{
			"SSE-7 stream reset", string(EventStream.AppendReset(nil, Reset{Room: "chat:a", Reason: room.ResetAhead, Epoch: "k", Floor: 1, Head: 2}, []byte("k:1"))),
			"id: k:1\nevent: reset\ndata: {\"room\":\"chat:a\",\"reason\":\"ahead\",\"epoch\":\"k\",\"floor\":1,\"head\":2}\n\n",
		},
		{"SSE-2 ready", string(AppendStreamReady(nil, []byte("k:1"), []byte(`{}`))), "id: k:1\nevent: ready\ndata: {}\n\n"},
		{"SSE-9 keepalive", string(EventStream.AppendPing(nil)), ": ping\n\n"},
		{"BEAT-1 ping", string(WebSocket.AppendPing(nil)), "\x81\x0d{\"op\":\"ping\"}"},
	} {
		if c.got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.name, c.got, c.want)
		}
	}
}

// unframe reads one text frame as RFC 6455 says, with its length in the fewest bytes.
func unframe(t *testing.T, b []byte) (payload, rest []byte) {
	t.Helper()
	if len(b) < 2 || b[0] != 0x81 || b[1]&0x80 != 0 {
		t.Fatalf("not an unmasked text frame: % x", b[:min(len(b), 16)])
	}
	size, head := int(b[1]), 2
	switch size {
	case 126:
		size, head = int(binary.BigEndian.Uint16(b[2:])), 4
		if size < 126 {
			t.Fatalf("%d bytes in a length of two", size)
		}
	case 127:
		size, head = int(binary.BigEndian.Uint64(b[2:])), 10
		if size < 1<<16 {
			t.Fatalf("%d bytes in a length of eight", size)
		}
	}
	return b[head : head+size], b[head+size:]
}

func TestPageFramesOfEverySize(t *testing.T) {
	for _, size := range []int{0, 1, 10, 50, 80, 100, 125, 126, 200, 65_000, 65_300, 65_400, 65_535, 65_536, 70_000} {
		for extra := range 24 { // around each step of the header, whatever the guess was
			e := event
			e.Data = []byte(`"` + strings.Repeat("x", size+extra) + `"`)
			page := Page{Room: "c:a", Epoch: "k", Prev: 0, Seq: 1, Mark: 1}
			before := []byte("before")
			b := WebSocket.AppendPage(before, page, AppendEvent(nil, "c:a", &e))
			payload, rest := unframe(t, b[len(before):])
			if !json.Valid(payload) || len(rest) != 0 || !bytes.HasPrefix(b, before) {
				t.Fatalf("size %d: the frame is not its payload", size+extra)
			}
		}
	}
	for _, n := range []int{0, 125, 126, 65_535, 65_536} {
		if payload, rest := unframe(t, AppendText(nil, make([]byte, n))); len(payload) != n || len(rest) != 0 {
			t.Errorf("text of %d bytes came back as %d and %d", n, len(payload), len(rest))
		}
	}
}

func TestAfterID(t *testing.T) {
	page := EventStream.AppendPage(nil, Page{Room: "c:a", Epoch: "k", Seq: 1, Mark: 1}, nil)
	if got := AfterID(page); !bytes.HasPrefix(got, []byte("event: page\ndata: ")) {
		t.Errorf("%q", got)
	}
}

func FuzzAuthorIsOneJSONString(f *testing.F) {
	f.Add("ann", `{}`)
	f.Add("a\n\"\\\x00é\u2028", `[1]`)
	f.Fuzz(func(t *testing.T, author, data string) {
		compact, err := room.CompactData([]byte(data), room.MaxData)
		if err != nil || !utf8.ValidString(author) { // no token names such a user
			return
		}
		e := event
		e.Author, e.Data = author, compact
		text := AppendEvent(nil, "chat:a", &e)
		var back struct {
			Author string
			Data   json.RawMessage
		}
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if back.Author != author || !bytes.Equal(back.Data, compact) { // DATA-1
			t.Fatalf("author %q and data %s came back as %q and %s", author, compact, back.Author, back.Data)
		}
	})
}
