package wire

import (
	"strconv"

	"roomlog/server/room"
)

// appendChanges appends what an event has that changed, or changes, a message (rules CHG-1, CHG-7, CHG-9). Most have none.
func appendChanges(dst []byte, e *room.Event) []byte {
	dst = appendTarget(dst, e.Target)
	dst = appendGone(dst, e.Gone)
	if e.Edited != nil {
		dst = append(dst, `,"edited":{"seq":`...)
		dst = strconv.AppendInt(dst, e.Edited.Seq, 10)
		dst = append(dst, `,"at":"`...)
		dst = append(AppendTime(dst, e.Edited.At), `"}`...)
	}
	for i, r := range e.Reactions {
		if i == 0 {
			dst = append(dst, `,"reactions":[{"emoji":`...)
		} else {
			dst = append(dst, `,{"emoji":`...)
		}
		dst = appendReaction(dst, r)
	}
	if len(e.Reactions) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// appendReaction appends what follows `{"emoji":`.
func appendReaction(dst []byte, r room.Reaction) []byte {
	dst = appendString(dst, r.Emoji)
	dst = append(dst, `,"count":`...)
	dst = strconv.AppendInt(dst, int64(r.Count), 10)
	dst = append(dst, `,"users":[`...)
	for i, user := range r.Users {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, user)
	}
	return append(dst, "]}"...)
}

func appendTarget(dst []byte, target room.Seq) []byte {
	if target == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, `,"target":`...), target, 10)
}

func appendGone(dst []byte, gone *room.Gone) []byte {
	if gone == nil {
		return dst
	}
	dst = append(dst, `,"deleted":{"seq":`...)
	dst = strconv.AppendInt(dst, gone.Seq, 10)
	dst = append(dst, `,"by":`...)
	dst = appendString(dst, gone.By)
	dst = append(dst, `,"at":"`...)
	return append(AppendTime(dst, gone.At), `"}`...)
}
