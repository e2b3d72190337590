// Package wire turns frames into bytes and bytes into frames: the shapes of spec/PROTOCOL.md and
// nothing else. It does no I/O and keeps no state; everything in it may be called concurrently.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"roomlog/server/room"
)

// Version is the protocol version that this server speaks, and Subprotocol its WebSocket name.
const (
	Version     = 1
	Subprotocol = "roomlog.v1"
)

// Op names what a frame asks or says.
type Op string

// The operations a client may send.
const (
	OpHello   Op = "hello"
	OpJoin    Op = "join"
	OpSend    Op = "send"
	OpLeave   Op = "leave"
	OpRefresh Op = "refresh"
	OpPing    Op = "ping"
	OpPong    Op = "pong"

	// What concerns a room beside its log.
	OpPresence Op = "presence"
	OpSignal   Op = "signal"
	OpRead     Op = "read"
	OpSync     Op = "sync"
	OpMe       Op = "me"
)

// known lists the ops for people.
const known = "hello, join, send, leave, refresh, presence, signal, read, sync, me, ping or pong"

// Beside reports whether an op concerns what a room shows beside its log: such ops are answered where they have an id, and
// where they are refused.
func (o Op) Beside() bool {
	switch o {
	case OpPresence, OpSignal, OpRead, OpSync, OpMe:
		return true
	}
	return false
}

// maxID bounds a request id: the largest integer every JSON reader keeps exactly.
const maxID = room.MaxSeq

// Request is one frame from a client. Which fields count depends on Op; a field that the frame
// did not have is zero. Room, Position, Tag and Data are as received: the parsers of package room
// judge them.
type Request struct {
	Op    Op
	ID    int64 // chosen by the client, repeated in the answer; only if HasID
	HasID bool

	Token   string // hello, refresh
	Client  string // hello: name and version of the client, for logs
	Version int    // hello: protocol version; 0 when absent

	Room     string
	Position string // join; "" when absent
	Limit    int    // join: events of the latest page; 0 when absent
	Replay   int64  // join: the most events to catch up on; -1 when absent
	Seen     int64  // join: the highest seq that was acked to this client; 0 when absent

	N    int64 // send: the slot, from 1; 0 when absent
	Tag  string
	Type string
	Data json.RawMessage // aliases the frame; nil when absent
	If   *room.Seq       // send: if_seq; nil when absent

	With     []string        // join: the sides that are asked for
	Present  *bool           // join: whether to be seen in the room's presence; nil when absent
	Presence json.RawMessage // join: what is to be seen besides; aliases the frame, nil when absent

	Parts map[string]int // join: how many bytes of text the client has of messages that stream, by seq; nil when absent

	Idle      *bool  // presence; nil when absent
	Key       string // signal
	Delivered int64  // read: 0 when absent
	Read      int64  // read: 0 when absent
	Side      string // sync
}

// body is a request as it stands in JSON; pointers tell absent from zero.
type body struct {
	Op       Op              `json:"op"`
	ID       json.RawMessage `json:"id"` // read by itself: whatever else is wrong, the answer names it
	Token    string          `json:"token"`
	Client   string          `json:"client"`
	Version  int             `json:"version"`
	Room     *string         `json:"room"`
	Position json.RawMessage `json:"position"`
	Limit    int             `json:"limit"`
	Replay   *int64          `json:"replay"`
	Seen     int64           `json:"seen"`
	N        int64           `json:"n"`
	Tag      string          `json:"tag"`
	Type     string          `json:"type"`
	Data     json.RawMessage `json:"data"`
	IfSeq    json.RawMessage `json:"if_seq"`

	With      []string        `json:"with"`
	Present   *bool           `json:"present"`
	Presence  json.RawMessage `json:"presence"`
	Parts     map[string]int  `json:"parts"`
	Idle      *bool           `json:"idle"`
	Key       string          `json:"key"`
	Delivered int64           `json:"delivered"`
	Read      int64           `json:"read"`
	Side      string          `json:"side"`
}

// ParseRequest reads one frame: a JSON object with a known op. Unknown fields are ignored (VER-3).
// Whatever it can read of the id is in the Request even when the frame is refused, so that the
// error can name it.
func ParseRequest(frame []byte) (Request, error) {
	if r, hasRoom, ok := scan(frame); ok {
		return r, r.check(hasRoom)
	}
	return decode(frame)
}

// decode is ParseRequest for any JSON.
func decode(frame []byte) (Request, error) {
	if len(bytes.TrimSpace(frame)) == 0 {
		return Request{}, badRequest("", "A frame is one JSON object; this one is empty.")
	}
	var b body
	err := unmarshal(frame, &b)
	r := Request{
		Op: b.Op, Token: b.Token, Client: b.Client, Version: b.Version,
		Limit: b.Limit, Replay: -1, Seen: b.Seen, N: b.N, Tag: b.Tag, Type: b.Type, Data: b.Data,
		With: b.With, Present: b.Present, Presence: b.Presence, Parts: b.Parts, Idle: b.Idle, Key: b.Key, Delivered: b.Delivered, Read: b.Read, Side: b.Side,
	}
	if b.Room != nil {
		r.Room = *b.Room
	}
	named := len(b.ID) > 0 && string(b.ID) != "null"
	if id, err := strconv.ParseInt(string(b.ID), 10, 64); err == nil && id >= 0 && id <= maxID {
		r.ID, r.HasID = id, true
	}
	switch {
	case err != nil:
		return r, unreadable(err)
	case named && !r.HasID:
		return r, badRequest("id", "An id is an integer from 0 to 2^53-1.")
	case b.Replay != nil && *b.Replay < 0:
		return r, badRequest("replay", "A replay is not negative.")
	case b.Replay != nil:
		r.Replay = *b.Replay
	}
	r.Position = positionText(b.Position)
	if r.Op == OpSend {
		if r.If, err = ParseIfSeq(b.IfSeq, r.Type); err != nil && r.check(b.Room != nil) == nil {
			return r, err
		}
	}
	return r, r.check(b.Room != nil)
}

// positionText takes a position as a string or, as scripts write it, a bare number. An empty string keeps
// its quotes: it was given, unlike one that is absent, and is no position.
func positionText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && string(raw) != `""` {
		return s
	}
	return string(raw)
}

// keptDepth is how deep a text may nest for its structure to matter: deeper than data may (DATA-3), and
// less than the parser, which gives up on the whole text, can go.
const keptDepth = 1000

// unmarshal is json.Unmarshal for texts of any depth.
func unmarshal(text []byte, into any) error {
	err := json.Unmarshal(text, into)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		if flat, deep := flatten(text); deep {
			return json.Unmarshal(flat, into)
		}
	}
	return err
}

// flatten puts a number in place of what nests deeper than keptDepth; deep: there was something.
func flatten(text []byte) (flat []byte, deep bool) {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		from := i
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth == keptDepth+1 {
				flat, deep = append(flat, '0'), true
			}
		case c == ']' || c == '}':
			if depth--; depth == keptDepth {
				continue
			}
		}
		if depth <= keptDepth {
			flat = append(flat, text[from:min(i+1, len(text))]...)
		}
	}
	return flat, deep
}

func unreadable(err error) *room.Error {
	if t, ok := err.(*json.UnmarshalTypeError); ok && t.Field != "" {
		return badRequest(t.Field, "The field "+t.Field+" has the wrong type: "+t.Value+".")
	}
	return badRequest("", "A frame is one JSON object, such as {\"op\":\"ping\"}.")
}

// check refuses what no op could mean; the values themselves are judged where they are used. hasRoom: a
// room was named, if only by an empty text.
func (r *Request) check(hasRoom bool) error {
	switch r.Op {
	case OpHello, OpRefresh, OpPing, OpPong:
		return nil
	case OpJoin:
		if r.Limit < 0 {
			return badRequest("limit", "A limit is not negative.")
		}
		if r.Seen < 0 || r.Seen > room.MaxSeq {
			return badRequest("seen", "What was seen is a seq, from 0 to 2^53-1.")
		}
		return r.needRoom(hasRoom)
	case OpLeave, OpPresence, OpSignal, OpRead, OpSync:
		return r.needRoom(hasRoom)
	case OpMe:
		return nil
	case OpSend:
		if r.N < 1 || r.N > maxID {
			return badRequest("n", "A send needs n: 1 for the first send of this connection to the room, then 2, 3 and so on.")
		}
		return r.needRoom(hasRoom)
	case "":
		return badRequest("op", "A frame needs an op: "+known+".")
	}
	return &room.Error{
		Code:  room.CodeUnknownOp,
		Title: "The op is none of " + known + ".",
		Field: "op",
	}
}

func (r *Request) needRoom(has bool) error {
	if !has {
		return badRequest("room", "This op needs a room.")
	}
	if r.Room == "" { // no order of sends belongs to it: it is refused with the frame
		_, err := room.ParseID(r.Room)
		return err
	}
	return nil
}

func badRequest(field, title string) *room.Error {
	return &room.Error{Code: room.CodeBadRequest, Title: title, Field: field}
}

// Post is one event of an HTTP send, as received: the parsers of package room judge it. Data aliases the body.
type Post struct {
	Tag  string          `json:"tag"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
	If   json.RawMessage `json:"if_seq"`
	Err  error           `json:"-"` // why it cannot be read, where it is one of several

	DocID string `json:"-"` // of the type doc: which document it is of, where the data does not say
}

// ParsePost reads the body of an HTTP send: `{"tag","type","data"}`, or `{"events":[…]}` with several of those (BATCH-1).
func ParsePost(text []byte) (posts []Post, several bool, err error) {
	var b struct {
		Post
		Events *[]json.RawMessage `json:"events"`
	}
	if err := unmarshal(text, &b); err != nil {
		if t, ok := err.(*json.UnmarshalTypeError); ok && t.Field != "" {
			return nil, false, unreadable(err)
		}
		return nil, false, badRequest("", `The body is one JSON object: {"tag":…,"type":…,"data":…}, or {"events":[…]} with several.`)
	}
	if b.Events == nil {
		return []Post{b.Post}, false, nil
	}
	if n := len(*b.Events); n < 1 || n > MaxPosts {
		return nil, true, &room.Error{Code: room.CodeBadRequest, Title: "A request has 1 to 100 events.", Field: "events", Limit: MaxPosts}
	}
	posts = make([]Post, len(*b.Events))
	for i, event := range *b.Events {
		if err := unmarshal(event, &posts[i]); err != nil || event[0] != '{' {
			posts[i] = Post{Err: badRequest("events", `An event is one JSON object: {"tag":…,"type":…,"data":…}.`)}
		}
	}
	return posts, true, nil
}

// MaxPosts is how many events one HTTP send may have.
const MaxPosts = 100
