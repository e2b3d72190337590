package wire

import (
	"strings"

	"roomlog/server/room"
)

// NamedPosition is where a stream stands in one of its rooms.
type NamedPosition struct {
	Room     room.ID
	Position room.Position
}

// AppendStreamID appends the id of a stream's event: the position of its room, or, of several,
// `ROOM=POSITION,ROOM=POSITION` (rule SSE-4). Neither sign occurs in a room id or a position.
func AppendStreamID(dst []byte, rooms []NamedPosition) []byte {
	if len(rooms) == 1 {
		return rooms[0].Position.Append(dst)
	}
	for i, n := range rooms {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, n.Room...)
		dst = append(dst, '=')
		dst = n.Position.Append(dst)
	}
	return dst
}

// ParseStreamID reads an id that a stream gave, for the rooms of the URL in their order. A room that
// the id does not name has no entry. Anything else is `bad_position`.
func ParseStreamID(id string, rooms []room.ID) (map[room.ID]room.Position, error) {
	out := make(map[room.ID]room.Position, len(rooms))
	if !strings.Contains(id, "=") {
		p, err := room.ParsePosition(id)
		if err != nil {
			return nil, err
		}
		if len(rooms) != 1 {
			return nil, badStreamID()
		}
		out[rooms[0]] = p
		return out, nil
	}
	for _, part := range strings.Split(id, ",") {
		name, text, _ := strings.Cut(part, "=")
		id, bad := room.ParseID(name)
		p, err := room.ParsePosition(text)
		switch {
		case err != nil:
			return nil, err
		case bad != nil:
			return nil, badStreamID()
		}
		out[id] = p
	}
	return out, nil
}

func badStreamID() *room.Error {
	return &room.Error{
		Code: room.CodeBadPosition, Field: "Last-Event-ID",
		Title: "The id of a stream of several rooms names the position of each; this one names none.",
	}
}
