package wire

import (
	"encoding/json"
	"strconv"

	"roomlog/server/room"
)

// AppendState appends keys of a room's map as an object of key to ENTRY (rule STATE-5).
func AppendState(dst []byte, entries []room.StateEntry) []byte {
	dst = append(dst, '{')
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, e.Key)
		if e.Value == nil {
			dst = append(dst, `:{"deleted":true`...)
		} else {
			dst = append(append(dst, `:{"value":`...), e.Value...)
		}
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendInt(dst, e.Seq, 10)
		dst = append(dst, `,"author":`...)
		dst = appendString(dst, e.Author)
		dst = append(dst, `,"at":"`...)
		dst = append(AppendTime(dst, e.At), `"}`...)
	}
	return append(dst, '}')
}

// Current is what an error says of the keys in the way (rule STATE-3); nil where there are none.
func Current(err *room.Error) json.RawMessage {
	if len(err.Current) == 0 {
		return nil
	}
	return AppendState(nil, err.Current)
}

// AppendLayers appends `,"full":true,"state":{…},"docs":true` as far as a page has them.
func (p Page) AppendLayers(dst []byte) []byte {
	if p.Full {
		dst = append(dst, `,"full":true`...)
	}
	if len(p.State) > 0 {
		dst = append(append(dst, `,"state":`...), p.State...)
	}
	if p.Docs {
		dst = append(dst, `,"docs":true`...)
	}
	return dst
}

// AppendStateAnswer appends the answer to a read of a map (rule STATE-13): p has all of it, but events.
func AppendStateAnswer(dst []byte, p Page) []byte {
	dst = p.appendRoom(append(dst, '{'))
	dst = append(dst, `"seq":`...)
	dst = strconv.AppendInt(dst, p.Seq, 10)
	dst = append(dst, `,"position":"`...)
	dst = append(p.position().Append(dst), '"')
	if len(p.State) == 0 {
		p.State = []byte(`{}`)
	}
	return append(p.AppendLayers(dst), '}')
}

// ParseIfSeq reads the if_seq of a send of a type, as received: nil where there is none.
func ParseIfSeq(raw json.RawMessage, typ string) (*room.Seq, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	seq, err := room.ParseSeq(string(raw))
	if err != nil || typ != room.TypeState {
		return nil, badRequest("if_seq", "An if_seq is a seq, from 0 to 2^53-1, of an event of the type state.")
	}
	return &seq, nil
}
