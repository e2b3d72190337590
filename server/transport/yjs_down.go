package transport

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"

	"github.com/gobwas/ws"

	"roomlog/server/room"
	"roomlog/server/ysync"
)

// yjsFrame is what of a frame of the socket behind concerns a client of y-websocket.
type yjsFrame struct {
	Op         string            `json:"op"`
	ID         int               `json:"id"`
	Connection string            `json:"connection"`
	Code       room.Code         `json:"code"`
	Room       string            `json:"room"`
	Events     []yjsEvent        `json:"events"`
	Docs       bool              `json:"docs"`
	Full       bool              `json:"full"`
	Set        []json.RawMessage `json:"set"`
	Gone       []string          `json:"gone"`
}

type yjsEvent struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// down passes on what the socket behind says, until that ends.
func (y *yjsConn) down(refused error) {
	if refused != nil { // a ticket that is no good
		y.srv.tell(room.AsError(refused).Code)
		y.bye(yjsRefusal(room.AsError(refused).Code), string(room.AsError(refused).Code))
	} else if code, reason, err := y.pass(bufio.NewReader(y.near)); err == nil {
		y.bye(code, reason)
	} else {
		y.hangUp()
	}
	_ = y.near.Close()
}

// pass reads frames of the socket behind. It returns how the client's connection is to end; an error: without a word.
func (y *yjsConn) pass(from *bufio.Reader) (code uint16, reason string, err error) {
	defer y.srv.rescue(&err, "connection", y.behind.id)
	for {
		h, err := ws.ReadHeader(from)
		if err != nil {
			return 0, "", err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(from, payload); err != nil {
			return 0, "", err
		}
		switch h.OpCode {
		case ws.OpClose:
			if len(payload) < 2 {
				return closeNormal, "", nil
			}
			return yjsClose(binary.BigEndian.Uint16(payload)), string(payload[2:]), nil
		case ws.OpText:
			if code, reason, err := y.hear(payload); code != 0 || err != nil {
				return code, reason, err
			}
		}
	}
}

var errNoFrame = errors.New("the socket behind says what is no frame")

// hear handles one frame; a code ends the connection.
func (y *yjsConn) hear(text []byte) (code uint16, reason string, err error) {
	var f yjsFrame
	if json.Unmarshal(text, &f) != nil {
		return 0, "", errNoFrame
	}
	switch f.Op {
	case "welcome":
		y.who = y.behind.listed.who.Load()
		y.carets.connection = f.Connection
	case "joined":
		y.id = room.ID(f.Room)
		close(y.joined)
	case "page":
		for i := range f.Events {
			y.event(&f.Events[i])
		}
		if f.Docs {
			if err := y.again(y.mend); err != nil {
				var v *violation
				if errors.As(err, &v) {
					return v.code, v.reason, nil
				}
				return 0, "", err
			}
		}
	case "signals":
		if entries := y.carets.shown(f.Set, f.Gone, f.Full); len(entries) > 0 {
			y.say(ysync.AppendAwareness(nil, entries))
		}
	case "ping": // a message beside it: a client that hears none for 30 s connects again
		y.write(appendBinary(appendControl(nil, ws.OpPing, nil), ysync.AppendAwareness(nil, nil)))
	case "reset": // it comes back and syncs
		return closeGoingAway, "reset", nil
	case "error":
		if f.ID == 1 || f.ID == 0 && f.Room != "" {
			return yjsRefusal(f.Code), string(f.Code), nil
		}
	}
	return 0, "", nil
}

// event passes a change of the document on, to its author as well: that is how y-websocket has it.
func (y *yjsConn) event(e *yjsEvent) {
	if e.Type != room.TypeDoc {
		return
	}
	var data struct {
		Doc    *string `json:"doc"`
		Update []byte  `json:"update"`
	}
	if json.Unmarshal(e.Data, &data) != nil || len(data.Update) == 0 {
		return
	}
	name := room.DefaultDoc
	if data.Doc != nil {
		name = *data.Doc
	}
	if name == y.doc {
		y.say(ysync.AppendUpdate(nil, data.Update))
	}
}

// appendBinary appends a binary frame as a server sends it.
func appendBinary(dst, payload []byte) []byte {
	const first = 0x80 | byte(ws.OpBinary)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
	}
	return append(dst, payload...)
}
