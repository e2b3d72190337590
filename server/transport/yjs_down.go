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

// yjsFrame is what of a frame of the socket behind concerns a client of Yjs.
type yjsFrame struct {
	Op         string            `json:"op"`
	ID         int               `json:"id"`
	Connection string            `json:"connection"`
	Code       room.Code         `json:"code"`
	Room       string            `json:"room"`
	Epoch      room.Epoch        `json:"epoch"`
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

// yjsEnd is how a document ends.
type yjsEnd struct {
	code uint16    // of CLOSE; 0: the room was refused, not the connection
	why  room.Code // or what else a close says
}

// pass reads frames of the socket behind, and tells the client. It returns how the document ends; an error: without a word.
func (y *yjsDoc) pass(from *bufio.Reader, to yjsClient) (end *yjsEnd, err error) {
	defer y.srv.rescue(&err, "connection", y.behind.id)
	for end == nil {
		h, err := ws.ReadHeader(from)
		if err != nil {
			return nil, err
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(from, payload); err != nil {
			return nil, err
		}
		switch {
		case h.OpCode == ws.OpClose && len(payload) < 2:
			end = &yjsEnd{code: closeNormal}
		case h.OpCode == ws.OpClose:
			end = &yjsEnd{binary.BigEndian.Uint16(payload), room.Code(payload[2:])}
		case h.OpCode == ws.OpText:
			if end, err = y.hear(payload, to); err != nil {
				return nil, err
			}
		}
	}
	return end, nil
}

var errNoFrame = errors.New("the socket behind says what is no frame")

// hear handles one frame; an end ends the document.
func (y *yjsDoc) hear(text []byte, to yjsClient) (*yjsEnd, error) {
	var f yjsFrame
	if json.Unmarshal(text, &f) != nil {
		return nil, errNoFrame
	}
	switch f.Op {
	case "welcome":
		y.carets.connection = f.Connection
	case "joined":
		y.id = room.ID(f.Room)
		close(y.joined)
	case "page":
		err := y.page(&f, to)
		if isReplaced(err) {
			return &yjsEnd{closeGoingAway, room.CodeReset}, nil
		}
		if e := (*room.Error)(nil); errors.As(err, &e) {
			return &yjsEnd{why: e.Code}, nil
		}
		return nil, err
	case "signals":
		if entries := y.carets.shown(f.Set, f.Gone, f.Full); len(entries) > 0 {
			to.say(ysync.AppendAwareness(nil, entries))
		}
	case "ping":
		to.ping()
	case "pong":
		to.renewed()
	case "reset": // it comes back and syncs
		return &yjsEnd{closeGoingAway, room.CodeReset}, nil
	case "error":
		switch {
		case f.ID == yjsJoin || f.ID == 0 && f.Room != "":
			return &yjsEnd{why: f.Code}, nil
		case f.ID == yjsRefresh:
			to.stale(f.Code)
		}
	}
	return nil, nil
}

// page passes changes of the document on, to their author as well: that is how y-websocket has it. Errors: as those of begun.
func (y *yjsDoc) page(f *yjsFrame, to yjsClient) error {
	for i := range f.Events {
		e := &f.Events[i]
		if e.Type != room.TypeDoc {
			continue
		}
		change, refused := room.ParseDoc(e.Data)
		if refused != nil || change.Name != y.doc {
			continue
		}
		if y.of.Load() == nil {
			if err := y.begun(f.Epoch); err != nil {
				return err
			}
		}
		to.say(ysync.AppendUpdate(nil, change.Update))
	}
	if f.Docs {
		return y.mend(to)
	}
	return nil
}
