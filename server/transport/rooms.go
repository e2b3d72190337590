package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

const (
	listDefault, listMost = 100, 500
	// listScan is how many rooms one answer looks through at most, however few of them it may name.
	listScan = 5000
)

// roomInfo is what the API says of a room (rule ROOM-8).
type roomInfo struct {
	Room      room.ID    `json:"room"`
	Epoch     room.Epoch `json:"epoch"`
	Floor     room.Seq   `json:"floor"`
	Head      room.Seq   `json:"head"`
	CreatedAt string     `json:"created_at,omitempty"` // absent: the room does not exist
	Retention retention  `json:"retention"`
}

// retention is the policy of the room's kind; what is absent has no bound.
type retention struct {
	AgeMS  int64 `json:"age_ms,omitempty"`
	Events int64 `json:"events,omitempty"`
}

func (s *Server) describe(r room.Record) roomInfo {
	policy, _ := s.cfg.Kinds.Policy(r.Room.Kind())
	info := roomInfo{
		Room: r.Room, Epoch: r.Epoch, Floor: r.Floor, Head: r.Seq,
		Retention: retention{AgeMS: wire.Milliseconds(policy.Retention.Age), Events: policy.Retention.Events},
	}
	if r.Exists() {
		info.CreatedAt = wire.Time(r.CreatedAt)
	}
	return info
}

// whose finds out who asks and for which room, and whether they may.
func (s *Server) whose(r *http.Request, a auth.Action) (*auth.Identity, room.ID, error) {
	who, err := s.identify(r)
	if err != nil {
		return nil, "", err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), a)
	return who, id, err
}

// reads finds out who asks, and takes one request off their rate, whatever they ask for (rule LIM-4).
func (s *Server) reads(r *http.Request) (*auth.Identity, error) {
	who, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return nil, err
	}
	return who, nil
}

// getRoom is GET /v1/rooms/{room}.
func (s *Server) getRoom(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil {
		return err
	}
	found, err := s.cfg.Rooms.Find(r.Context(), id)
	if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if err != nil {
		return err
	}
	found.Floor = max(found.Floor, s.members.floor(who, id))
	if policy, _ := s.cfg.Kinds.Policy(id.Kind()); policy.State.MapOnly { // as pages have it: that of a map alone is behind the head (STATE-11)
		page, err := s.cfg.Hub.History(r.Context(), room.Query{Room: id, Anchor: room.Latest, Limit: 1}, found.Floor)
		if err != nil {
			return err
		}
		if page.Head.Epoch == found.Epoch && page.Head.Seq == found.Seq {
			found.Floor = page.Head.Floor
		}
	}
	return writeRoom(w, http.StatusOK, s.describe(found))
}

// putRoom is PUT /v1/rooms/{room}: it makes the room exist. A body is not looked at.
func (s *Server) putRoom(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.whose(r, auth.Send)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	if found, err := s.found(r.Context(), who, id); err != nil || found {
		return s.answerFounded(w, r, id, err)
	}
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	made, created, err := s.cfg.Rooms.Create(r.Context(), id, who.User, policy.RoomsPerUser)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return writeRoom(w, status, s.describe(made))
}

// deleteRoom is DELETE /v1/rooms/{room}. Those who follow the room are reset before it answers.
func (s *Server) deleteRoom(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.whose(r, auth.Admin)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	// A client that leaves meanwhile takes nothing back: who follows the room is to hear of its end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), deleteWithin)
	defer cancel()
	head, deleted, err := s.cfg.Rooms.Delete(ctx, id)
	if err != nil {
		return err
	}
	if deleted {
		s.cfg.Hub.Notice(head)
		if s.cfg.Webhooks != nil {
			s.cfg.Webhooks.Grew(id) // by a reset: those who keep a copy have to let go of it (rule HOOK-14)
		}
		s.deleted.Add(1)
		s.log.Info("room deleted", "room", id, "by", who.User, "epoch", head.Epoch)
	}
	return writeRoom(w, http.StatusOK, struct {
		roomInfo
		Deleted bool `json:"deleted"`
	}{s.describe(room.Record{Head: head}), deleted})
}

// deleteWithin bounds how long a deletion may wait for the store.
const deleteWithin = 10 * time.Second

// Deleted is how many rooms were deleted by requests since the start.
func (s *Server) Deleted() int64 { return s.deleted.Load() }

// getRooms is GET /v1/rooms: the rooms that exist and that the token may read, in the order of their ids. An
// answer may have fewer than limit, or none, and still a next: it looks through a bounded number of rooms.
func (s *Server) getRooms(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery, "prefix", "after", "limit")
	if err != nil {
		return err
	}
	limit, err := parseCount(q, "limit", 1)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = listDefault
	}
	prefix, after := q.Get("prefix"), q.Get("after")
	if !partOfID(prefix) || !partOfID(after) {
		return badQuery("prefix", "prefix and after are what a room id may begin with.")
	}
	list, err := s.list(r, who, prefix, room.ID(after), min(limit, listMost))
	if refused := s.admitted(who); refused != nil { // again, as each of the rooms
		return refused
	}
	if err != nil {
		return err
	}
	list.Rooms = slices.DeleteFunc(list.Rooms, func(at roomInfo) bool { return s.allowed(who, at.Room, auth.Read) != nil })
	return writeRoom(w, http.StatusOK, list)
}

type roomList struct {
	Rooms []roomInfo `json:"rooms"`
	Next  room.ID    `json:"next,omitempty"` // give it as after; absent: these were the last
}

func (s *Server) list(r *http.Request, who *auth.Identity, prefix string, after room.ID, limit int) (roomList, error) {
	out := roomList{Rooms: []roomInfo{}}
	looked := 0
	for _, span := range s.spans(who, prefix) {
		from := after
		for room.ID(room.PrefixEnd(span.text)) > from {
			found, next, err := s.look(r, span, from, listMost)
			if err == nil {
				err = s.knowThese(r.Context(), who, found)
			}
			if err != nil {
				return out, err
			}
			for _, record := range found {
				if s.allowed(who, record.Room, auth.Read) != nil {
					continue
				}
				if len(out.Rooms) == limit {
					out.Next = out.Rooms[limit-1].Room
					return out, nil
				}
				out.Rooms = append(out.Rooms, s.describe(record))
			}
			if next == "" {
				break
			}
			if from, looked = next, looked+listMost; looked >= listScan {
				out.Next = next
				return out, nil
			}
		}
	}
	return out, nil
}

// span is a stretch of ids: those that begin with text or, where it is whole, that one.
type span struct {
	text  string
	whole bool
}

// spans are the stretches that the grants let somebody read below a prefix, in order and apart from each
// other, so that no room is looked at, and none named, that they do not reach.
func (s *Server) spans(who *auth.Identity, prefix string) []span {
	var all []span
	for _, g := range who.Grants {
		if !slices.Contains(g.Can, auth.Read) {
			continue
		}
		text, pattern := strings.CutSuffix(g.Rooms, "*")
		switch {
		case strings.HasPrefix(text, prefix):
			all = append(all, span{text, !pattern})
		case pattern && strings.HasPrefix(prefix, text):
			all = append(all, span{prefix, false})
		}
	}
	if kinds := s.cfg.Kinds.Declared(); kinds != nil {
		all = slices.DeleteFunc(declared(all, kinds), func(at span) bool {
			_, known := kinds[room.ID(at.text).Kind()]
			return !known
		})
	}
	slices.SortFunc(all, func(a, b span) int {
		if a.text == b.text && a.whole != b.whole {
			return map[bool]int{false: -1, true: 1}[a.whole]
		}
		return strings.Compare(a.text, b.text)
	})
	apart := all[:0]
	for _, at := range all {
		if n := len(apart); n > 0 && (at == apart[n-1] || !apart[n-1].whole && strings.HasPrefix(at.text, apart[n-1].text)) {
			continue
		}
		apart = append(apart, at)
	}
	return apart
}

// declared puts the kinds that there are in place of stretches that reach over kinds.
func declared(all []span, kinds map[string]room.Policy) []span {
	var out []span
	for _, at := range all {
		if strings.Contains(at.text, ":") {
			out = append(out, at)
			continue
		}
		for kind := range kinds {
			if strings.HasPrefix(kind+":", at.text) {
				out = append(out, span{kind + ":", false})
			}
		}
	}
	return out
}

// look is [room.Rooms.List] within a span.
func (s *Server) look(r *http.Request, at span, after room.ID, scan int) ([]room.Record, room.ID, error) {
	if !at.whole {
		return s.cfg.Rooms.List(r.Context(), at.text, after, scan)
	}
	id, err := room.ParseID(at.text)
	if err != nil || id <= after {
		return nil, "", nil
	}
	record, err := s.cfg.Rooms.Find(r.Context(), id)
	if err != nil || !record.Exists() {
		return nil, "", err
	}
	return []room.Record{record}, "", nil
}

// partOfID reports whether an id could begin with text.
func partOfID(text string) bool {
	if len(text) > maxRoom {
		return false
	}
	return !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.:@-", c)
	})
}

// maxRoom is the length of the longest id.
const maxRoom = 200

// writeRoom answers with a value as JSON.
func writeRoom(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	writeJSON(w, status, body)
	return nil
}

// routeRooms adds the routes of rooms, where the store knows which exist.
func (s *Server) routeRooms(mux *http.ServeMux) {
	if s.cfg.Rooms == nil {
		return
	}
	mux.Handle("/v1/rooms", s.api(methods{http.MethodGet: s.getRooms}))
	mux.Handle("/v1/rooms/{room}", s.api(methods{
		http.MethodGet: s.getRoom, http.MethodPut: s.putRoom, http.MethodDelete: s.deleteRoom,
	}))
}
