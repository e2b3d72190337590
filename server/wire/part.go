package wire

import (
	"strconv"

	"roomlog/server/room"
)

// PartName is the op of a part, and the event of a stream.
const PartName = "part"

// Part is a frame of text that follows in a message that streams (rule PART-9).
type Part struct {
	Room   room.ID
	Seq    room.Seq // of the message
	Offset int      // bytes of what parts brought before
	Text   string
}

// AppendPart appends one framed part. On an EventStream it has no id: the stream stands where it stood.
func (f Framing) AppendPart(dst []byte, p Part) []byte {
	if f == EventStream {
		dst = append(dst, "event: "+PartName+"\ndata: {"...)
		return append(p.appendFields(dst), "\n\n"...)
	}
	return appendText(dst, 96+len(p.Room)+len(p.Text), func(dst []byte) []byte {
		return p.appendFields(append(dst, `{"op":"`+PartName+`",`...))
	})
}

func (p Part) appendFields(dst []byte) []byte {
	dst = append(append(append(dst, `"room":"`...), p.Room...), `","seq":`...)
	dst = strconv.AppendInt(dst, p.Seq, 10)
	dst = strconv.AppendInt(append(dst, `,"offset":`...), int64(p.Offset), 10)
	return append(appendString(append(dst, `,"text":`...), p.Text), '}')
}
