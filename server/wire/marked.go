package wire

import (
	"bytes"
	"strconv"

	"roomlog/server/room"
)

// Marked tells a user where they stand in a room (rule RCPT-4): the answer to a read, and what all of their connections are told.
type Marked struct {
	ID    int64 // of the read that it answers, if HasID
	HasID bool
	Room  room.ID

	Delivered, Read room.Seq
	Head            room.Seq // what follows was counted up to here
	Unread          int
	More            bool // there are more than Unread
	FirstUnread     room.Seq
	Mentions        int
}

// Append appends the frame's JSON.
func (m Marked) Append(dst []byte) []byte {
	dst = append(dst, `{"op":"marked",`...)
	if m.HasID {
		dst = append(strconv.AppendInt(append(dst, `"id":`...), m.ID, 10), ',')
	}
	return m.appendFields(dst)
}

// AppendMarked appends one framed Marked that answers nothing. On an EventStream it has no id.
func (f Framing) AppendMarked(dst []byte, m Marked) []byte {
	m.HasID = false
	if f == EventStream {
		return append(m.appendFields(append(dst, "event: marked\ndata: {"...)), "\n\n"...)
	}
	return AppendText(dst, m.Append(nil))
}

// AppendBody appends the fields alone, as an object: the answer over HTTP.
func (m Marked) AppendBody(dst []byte) []byte { return m.appendFields(append(dst, '{')) }

func (m Marked) appendFields(dst []byte) []byte {
	dst = append(append(dst, `"room":"`...), m.Room...)
	dst = strconv.AppendInt(append(dst, `","delivered":`...), m.Delivered, 10)
	dst = strconv.AppendInt(append(dst, `,"read":`...), m.Read, 10)
	dst = strconv.AppendInt(append(dst, `,"head":`...), m.Head, 10)
	dst = strconv.AppendInt(append(dst, `,"unread":`...), int64(m.Unread), 10)
	dst = strconv.AppendBool(append(dst, `,"more":`...), m.More)
	if m.FirstUnread > 0 {
		dst = strconv.AppendInt(append(dst, `,"first_unread":`...), m.FirstUnread, 10)
	}
	dst = strconv.AppendInt(append(dst, `,"mentions":`...), int64(m.Mentions), 10)
	return append(dst, '}')
}

// Marks are the body of a request that marks over HTTP (rule RCPT-11).
type Marks struct{ Delivered, Read room.Seq }

// ParseMarks reads one: a JSON object. Unknown fields are ignored (VER-3); a number that is no integer is `bad_request`, with its field.
func ParseMarks(text []byte) (Marks, error) {
	var m struct {
		Delivered int64 `json:"delivered"`
		Read      int64 `json:"read"`
	}
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' {
		return Marks{}, badRequest("", "The body is one JSON object, such as {\"read\":412}.")
	}
	if err := unmarshal(text, &m); err != nil {
		return Marks{}, unreadable(err)
	}
	return Marks{m.Delivered, m.Read}, nil
}
