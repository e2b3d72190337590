package wire

import (
	"strconv"

	"roomlog/server/room"
)

// Side is a frame of what a room shows beside its log (rules SIDE-1 to SIDE-4): what changed after Prev, up to Version, or, where
// Full is set, all there is.
type Side struct {
	Name    string // the op, and the event of a stream
	Room    room.ID
	Full    bool
	Prev    uint64 // not said where Full is set
	Version uint64
	About   []byte   // more members of the frame, encoded, such as `"users":3`; may be empty
	Set     [][]byte // encoded values
	Gone    []string // keys
}

// AppendSide appends one framed side. On an EventStream it has no id: the stream stands where it stood.
func (f Framing) AppendSide(dst []byte, s Side) []byte {
	if f == EventStream {
		dst = append(append(append(dst, "event: "...), s.Name...), "\ndata: {"...)
		return append(s.appendFields(dst), "\n\n"...)
	}
	guess := 96 + len(s.Room) + len(s.About)
	for _, v := range s.Set {
		guess += len(v) + 1
	}
	return appendText(dst, guess, func(dst []byte) []byte {
		dst = append(append(append(dst, `{"op":"`...), s.Name...), `",`...)
		return s.appendFields(dst)
	})
}

func (s Side) appendFields(dst []byte) []byte {
	dst = append(append(dst, `"room":"`...), s.Room...)
	if s.Full {
		dst = append(dst, `","full":true,"version":`...)
	} else {
		dst = strconv.AppendUint(append(dst, `","prev":`...), s.Prev, 10)
		dst = append(dst, `,"version":`...)
	}
	dst = strconv.AppendUint(dst, s.Version, 10)
	if len(s.About) > 0 {
		dst = append(append(dst, ','), s.About...)
	}
	dst = append(dst, `,"set":[`...)
	for i, v := range s.Set {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, v...)
	}
	dst = append(dst, ']')
	if !s.Full {
		dst = appendParts(append(dst, `,"gone":`...), s.Gone)
	}
	return append(dst, '}')
}

// AppendDone appends `{"op":"done","id":ID}`: what a frame beside the log asked for was done.
func AppendDone(dst []byte, id int64) []byte {
	return append(strconv.AppendInt(append(dst, `{"op":"done","id":`...), id, 10), '}')
}
