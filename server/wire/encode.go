package wire

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"roomlog/server/room"
)

// timeLayout is RFC 3339 in UTC with microseconds, always six digits.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendEvent appends an event as it stands in a page: an object with room, seq, type, author,
// tag, at, data, and what there is of target, deleted, edited, reactions.
func AppendEvent(dst []byte, id room.ID, e *room.Event) []byte {
	dst = append(dst, `{"room":"`...)
	dst = append(dst, id...)
	return appendEventRest(dst, e)
}

// AppendStored appends the answer to an HTTP send: the event with the epoch after its room, and
// `"duplicate":true` for a repeat.
func AppendStored(dst []byte, id room.ID, epoch room.Epoch, e *room.Event, duplicate bool) []byte {
	dst = append(dst, `{"room":"`...)
	dst = append(dst, id...)
	dst = append(dst, `","epoch":"`...)
	dst = append(dst, epoch...)
	dst = appendEventRest(dst, e)
	if duplicate {
		dst = append(dst[:len(dst)-1], `,"duplicate":true}`...)
	}
	return dst
}

// AppendKnown appends the answer to an HTTP send of which the room had all before (rule DOC-4): as AppendStored, with `"known":true`.
func AppendKnown(dst []byte, id room.ID, epoch room.Epoch, e *room.Event) []byte {
	dst = AppendStored(dst, id, epoch, e, false)
	return append(dst[:len(dst)-1], `,"known":true}`...)
}

func appendEventRest(dst []byte, e *room.Event) []byte {
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendInt(dst, e.Seq, 10)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, e.Type...)
	dst = append(dst, `","author":`...)
	dst = appendString(dst, e.Author)
	dst = append(dst, `,"tag":"`...)
	dst = e.Tag.Append(dst)
	dst = append(dst, `","at":"`...)
	dst = AppendTime(dst, e.At)
	dst = append(dst, `","data":`...)
	dst = append(dst, e.Data...)
	if e.Target != 0 || e.Gone != nil || e.Edited != nil || len(e.Reactions) > 0 {
		dst = appendChanges(dst, e)
	}
	return append(dst, '}')
}

// Time is a time as it stands on the wire (rule ROOM-6).
func Time(t time.Time) string { return string(AppendTime(nil, t)) }

// AppendTime appends a time as events have it (rule ROOM-6): UTC, six digits of a second, without quotes.
func AppendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, timeLayout) }

// appendString appends s as a JSON string. The fast path is the usual case: printable ASCII.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// Page is what a page frame says besides its events.
type Page struct {
	Room  room.ID
	Epoch room.Epoch
	Prev  room.Seq
	Seq   room.Seq
	Mark  room.Mark // of Seq; none when Seq is 0
	Full  bool      // State is the whole map
	State []byte    // by key, encoded as by AppendState; nil: nothing is said
	Docs  bool      // updates of documents are left out
}

func (p Page) position() room.Position {
	return room.Position{Epoch: p.Epoch, Seq: p.Seq, Mark: p.Mark}
}

// appendSpan appends `"prev":…,"seq":…,"position":"…","events":[EVENTS]`, the part that every page has.
// events is encoded events separated by commas.
func (p Page) appendSpan(dst, events []byte) []byte {
	dst = append(dst, `"prev":`...)
	dst = strconv.AppendInt(dst, p.Prev, 10)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, p.Seq, 10)
	dst = append(dst, `,"position":"`...)
	dst = p.position().Append(dst)
	dst = append(dst, `","events":[`...)
	dst = append(dst, events...)
	dst = append(dst, ']')
	return p.AppendLayers(dst)
}

// appendRoom appends `"room":"…","epoch":"…",`.
func (p Page) appendRoom(dst []byte) []byte {
	dst = append(dst, `"room":"`...)
	dst = append(dst, p.Room...)
	dst = append(dst, `","epoch":"`...)
	dst = append(dst, p.Epoch...)
	return append(dst, `",`...)
}

// AppendPolled appends the answer to a poll or a history read. degraded are the parts that the server does
// without; mostly none.
func AppendPolled(dst []byte, p Page, floor, head room.Seq, degraded []string, events []byte) []byte {
	dst = p.appendRoom(append(dst, '{'))
	dst = append(dst, `"floor":`...)
	dst = strconv.AppendInt(dst, floor, 10)
	dst = append(dst, `,"head":`...)
	dst = strconv.AppendInt(dst, head, 10)
	dst = append(dst, ',')
	if len(degraded) > 0 {
		dst = append(appendParts(append(dst, `"degraded":`...), degraded), ',')
	}
	return append(p.appendSpan(dst, events), '}')
}

// Joined is the answer to a join. Reset is empty where the client's position was continued.
type Joined struct {
	Page
	ID     int64
	HasID  bool
	Floor  room.Seq
	Head   room.Seq
	Reset  room.ResetReason
	Events []byte // encoded events of the page, separated by commas
}

// Append appends the joined frame's JSON.
func (j Joined) Append(dst []byte) []byte {
	dst = append(dst, `{"op":"joined",`...)
	dst = appendID(dst, j.ID, j.HasID)
	dst = j.appendRoom(dst)
	dst = append(dst, `"floor":`...)
	dst = strconv.AppendInt(dst, j.Floor, 10)
	dst = append(dst, `,"head":`...)
	dst = strconv.AppendInt(dst, j.Head, 10)
	if j.Reset != "" {
		dst = append(dst, `,"reset":{"reason":"`...)
		dst = append(dst, j.Reset...)
		dst = append(dst, `"}`...)
	}
	dst = append(dst, `,"page":{`...)
	return append(j.appendSpan(dst, j.Events), `}}`...)
}

// AppendFrame appends the joined frame, framed as a WebSocket's.
func (j Joined) AppendFrame(dst []byte) []byte {
	return appendText(dst, len(j.Events)+len(j.State)+len(j.Room)+2*len(j.Epoch)+160, j.Append)
}

func appendID(dst []byte, id int64, has bool) []byte {
	if !has {
		return dst
	}
	dst = append(dst, `"id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	return append(dst, ',')
}

// Ack answers a send that is stored.
type Ack struct {
	ID        int64
	HasID     bool
	Room      room.ID
	Epoch     room.Epoch
	Seq       room.Seq
	At        time.Time
	Tag       room.Tag
	Duplicate bool
	Target    room.Seq   // of a change: the message that it changes; else 0
	Gone      *room.Gone // of a duplicate: the event was deleted meanwhile
	Known     bool       // nothing was stored: the room had all of it before (rule DOC-4)
}

// Append appends the ack frame's JSON.
func (a Ack) Append(dst []byte) []byte {
	dst = append(dst, `{"op":"ack",`...)
	dst = appendID(dst, a.ID, a.HasID)
	dst = append(dst, `"room":"`...)
	dst = append(dst, a.Room...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendInt(dst, a.Seq, 10)
	dst = append(dst, `,"epoch":"`...)
	dst = append(dst, a.Epoch...)
	dst = append(dst, `","at":"`...)
	dst = AppendTime(dst, a.At)
	dst = append(dst, `","tag":"`...)
	dst = a.Tag.Append(dst)
	dst = append(dst, `","duplicate":`...)
	dst = strconv.AppendBool(dst, a.Duplicate)
	dst = appendTarget(dst, a.Target)
	dst = appendGone(dst, a.Gone)
	if a.Known {
		dst = append(dst, `,"known":true`...)
	}
	return append(dst, '}')
}

// Reset ends a cursor: the client joins again without a position.
type Reset struct {
	Room   room.ID
	Reason room.ResetReason
	Epoch  room.Epoch
	Floor  room.Seq
	Head   room.Seq
}

func (r Reset) appendFields(dst []byte) []byte {
	dst = append(dst, `"room":"`...)
	dst = append(dst, r.Room...)
	dst = append(dst, `","reason":"`...)
	dst = append(dst, r.Reason...)
	dst = append(dst, `","epoch":"`...)
	dst = append(dst, r.Epoch...)
	dst = append(dst, `","floor":`...)
	dst = strconv.AppendInt(dst, r.Floor, 10)
	dst = append(dst, `,"head":`...)
	dst = strconv.AppendInt(dst, r.Head, 10)
	return append(dst, '}')
}

// Append appends the reset frame's JSON.
func (r Reset) Append(dst []byte) []byte { return r.appendFields(append(dst, `{"op":"reset",`...)) }

// Failure is an error frame: what was asked (ID, Room, Tag, where known) and why it was refused.
type Failure struct {
	ID    int64
	HasID bool
	Room  string
	Tag   string
	Err   *room.Error
}

type failureJSON struct {
	Op           string    `json:"op"`
	ID           *int64    `json:"id,omitempty"`
	Room         string    `json:"room,omitempty"`
	Tag          string    `json:"tag,omitempty"`
	Code         room.Code `json:"code"`
	Title        string    `json:"title"`
	Field        string    `json:"field,omitempty"`
	Limit        int64     `json:"limit,omitempty"`
	Retryable    bool      `json:"retryable"`
	RetryAfterMS int64     `json:"retry_after_ms,omitempty"`

	Current json.RawMessage `json:"current,omitempty"`
}

// maxEcho bounds what an error repeats of a room or tag that the server did not accept.
const maxEcho = 200

// Append appends the error frame's JSON.
func (f Failure) Append(dst []byte) []byte {
	j := failureJSON{
		Op: "error", Room: echo(f.Room), Tag: echo(f.Tag), Code: f.Err.Code, Title: f.Err.Title,
		Field: f.Err.Field, Limit: f.Err.Limit,
		Retryable: f.Err.Retryable(), RetryAfterMS: Milliseconds(f.Err.RetryAfter), Current: Current(f.Err),
	}
	if f.HasID {
		j.ID = &f.ID
	}
	text, _ := json.Marshal(j) // strings and integers always marshal
	return append(dst, text...)
}

// Milliseconds is how long to wait at least (rule ERR-3): whole milliseconds, rounded up.
func Milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

func echo(s string) string {
	if len(s) > maxEcho {
		return ""
	}
	return s
}

// Welcome answers a hello.
type Welcome struct {
	Connection string
	User       string
	PingMS     int64
	Version    int
	Limits     json.RawMessage // an object
	Node       string          // the name of the node; "" when it has none
}

// Append appends the welcome frame's JSON.
func (w Welcome) Append(dst []byte) []byte {
	dst = append(dst, `{"op":"welcome","connection":`...)
	dst = appendString(dst, w.Connection)
	dst = append(dst, `,"user":`...)
	dst = appendString(dst, w.User)
	dst = append(dst, `,"ping_ms":`...)
	dst = strconv.AppendInt(dst, w.PingMS, 10)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendInt(dst, int64(w.Version), 10)
	dst = append(dst, `,"limits":`...)
	dst = append(dst, w.Limits...)
	if w.Node != "" {
		dst = appendString(append(dst, `,"node":`...), w.Node)
	}
	return append(dst, '}')
}

// Ready is the first event of a stream.
type Ready struct {
	Connection string `json:"connection"`
	Secret     string `json:"secret"`
	Node       string `json:"node,omitempty"` // as in Welcome
}

// Problem is the RFC 9457 form of an error.
type Problem struct {
	Type         string           `json:"type"`
	Title        string           `json:"title"`
	Status       int              `json:"status"`
	Code         room.Code        `json:"code"`
	Field        string           `json:"field,omitempty"`
	Limit        int64            `json:"limit,omitempty"`
	Retryable    bool             `json:"retryable"`
	RetryAfterMS int64            `json:"retry_after_ms,omitempty"`
	RequestID    string           `json:"request_id"`
	Current      json.RawMessage  `json:"current,omitempty"` // with code `conflict`: an object
	Reason       room.ResetReason `json:"reason,omitempty"`  // with code `reset`, as are the next three
	Epoch        room.Epoch       `json:"epoch,omitempty"`
	Floor        room.Seq         `json:"floor,omitempty"`
	Head         *room.Seq        `json:"head,omitempty"`
}
