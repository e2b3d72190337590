package wire

import (
	"strconv"

	"roomlog/server/room"
)

// AppendOverview appends an overview of a room (rule MEM-9).
func AppendOverview(dst []byte, o *room.Overview) []byte {
	dst = append(dst, `{"room":"`...)
	dst = append(dst, o.Room...)
	dst = append(dst, `","epoch":"`...)
	dst = append(dst, o.Epoch...)
	dst = append(dst, `","head":`...)
	dst = strconv.AppendInt(dst, o.Head, 10)
	dst = append(dst, `,"role":`...)
	dst = appendString(dst, o.Role)
	dst = append(dst, `,"last":`...)
	if o.Last == nil {
		dst = append(dst, "null"...)
	} else {
		dst = AppendEvent(dst, o.Room, o.Last)
	}
	dst = append(dst, `,"read":`...)
	dst = strconv.AppendInt(dst, o.Read, 10)
	dst = append(dst, `,"delivered":`...)
	dst = strconv.AppendInt(dst, o.Delivered, 10)
	dst = append(dst, `,"unread":`...)
	dst = strconv.AppendInt(dst, int64(o.Unread), 10)
	dst = append(dst, `,"more":`...)
	dst = strconv.AppendBool(dst, o.More)
	if o.FirstUnread > 0 {
		dst = append(dst, `,"first_unread":`...)
		dst = strconv.AppendInt(dst, o.FirstUnread, 10)
	}
	dst = append(dst, `,"mentions":`...)
	dst = strconv.AppendInt(dst, int64(o.Mentions), 10)
	return append(dst, '}')
}

// Me says which of one's rooms have changed, and how they are now (rule MEM-10).
type Me struct {
	ID    int64 // of the me that it answers, if HasID
	HasID bool
	Full  bool      // what is named is all there is, as far as More does not say otherwise
	More  bool      // of an answer: the others follow
	Rooms []byte    // encoded overviews, separated by commas
	Gone  []room.ID // that are no more among them
}

// Append appends the frame's JSON.
func (m Me) Append(dst []byte) []byte {
	return m.appendFields(appendID(append(dst, `{"op":"me",`...), m.ID, m.HasID))
}

// AppendMe appends one framed Me that answers nothing. On an EventStream it has no id: the stream stands where it stood.
func (f Framing) AppendMe(dst []byte, m Me) []byte {
	if f == EventStream {
		return append(m.appendFields(append(dst, "event: me\ndata: {"...)), "\n\n"...)
	}
	m.HasID = false
	return AppendText(dst, m.Append(nil))
}

func (m Me) appendFields(dst []byte) []byte {
	if m.Full {
		dst = append(dst, `"full":true,`...)
	}
	if m.More {
		dst = append(dst, `"more":true,`...)
	}
	dst = append(dst, `"rooms":[`...)
	dst = append(dst, m.Rooms...)
	dst = append(dst, `],"gone":[`...)
	for i, id := range m.Gone {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), id...), '"')
	}
	return append(dst, "]}"...)
}
