package transport

import (
	"strings"

	"roomlog/server/room"
)

// HearMe takes what another node says of users and rooms by Config.SayMe. It does not block.
func (s *Server) HearMe(body []byte) {
	for line := range strings.SplitSeq(string(body), "\n") {
		what, rest, _ := strings.Cut(line, " ")
		id, user, ok := strings.Cut(rest, " ")
		if ok {
			s.feed.concerns(room.ID(id), user, what == saidMember)
		}
	}
}

// What a node says of a user and a room: `WHAT ROOM USER`, a line each.
const (
	saidMember = "member"
	saidMark   = "mark"
)

// sayMe tells the other nodes.
func (s *Server) sayMe(what string, id room.ID, user string) {
	if s.cfg.SayMe != nil {
		s.cfg.SayMe([]byte(what + " " + string(id) + " " + user))
	}
}

// Marked is told whose marks have risen by a transaction of this node. It does not block.
func (s *Server) Marked(raised []room.Marked) {
	var body []byte
	for _, m := range raised {
		s.feed.concerns(m.Room, m.User, false)
		if s.cfg.SayMe == nil {
			continue
		}
		if body = append(body, (saidMark + " " + string(m.Room) + " " + m.User + "\n")...); len(body) > sayBytes {
			s.cfg.SayMe(body)
			body = nil
		}
	}
	if len(body) > 0 {
		s.cfg.SayMe(body)
	}
}

// sayBytes is about how many bytes one message to the other nodes has.
const sayBytes = 32 << 10

// Poked is told rooms of which only that is known that they have grown, by an append from SQL or while there is no bus. It does not block.
func (s *Server) Poked(id room.ID) { s.feed.poked(id) }

// Grew is told the rooms that something was appended to elsewhere, as far as that is known. It does not block.
func (s *Server) Grew(id room.ID) { s.feed.grew(id) }

// Missed is told that what was appended elsewhere may have passed unseen. It does not block.
func (s *Server) Missed() { s.feed.again("") }
