package transport

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"roomlog/server/room"
	"roomlog/server/search"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

const (
	searchDefault, searchMost = 20, 100
	// searchRooms is how many rooms of each kind of belonging one search looks through.
	searchRooms = 1000
)

// routeSearch adds the routes of search, where the store keeps an index.
func (s *Server) routeSearch(mux *http.ServeMux) {
	if s.cfg.Search == nil {
		return
	}
	mux.Handle("/v1/rooms/{room}/search", s.api(methods{http.MethodGet: s.getSearch}))
	mux.Handle("/v1/me/search", s.api(methods{http.MethodGet: s.getMySearch}))
}

// searching is what a search asks for.
type searching struct {
	query  search.Query
	before room.Seq // 0: no bound
	limit  int
}

// parseSearch reads the query of a search; others are the names that it may have besides `q` and `limit`.
func parseSearch(raw string, others ...string) (searching, error) {
	q, err := parseQuery(raw, append(others, "q", "limit")...)
	if err != nil {
		return searching{}, err
	}
	want := searching{limit: searchDefault}
	n, err := parseCount(q, "limit", 1)
	if err != nil {
		return want, err
	}
	if n > 0 {
		want.limit = min(n, searchMost)
	}
	if text := q.Get("before"); text != "" {
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seq < 1 || seq > room.MaxSeq {
			return want, badQuery("before", "before is a seq.")
		}
		want.before = seq
	}
	want.query, err = search.Parse(q.Get("q"))
	return want, err
}

// searchable judges whether somebody may search a room (rule FIND-7).
func (s *Server) searchable(ctx context.Context, who *auth.Identity, id room.ID) error {
	if err := s.know(ctx, who, id, auth.Read); err != nil {
		return err
	}
	if err := s.allowed(who, id, auth.Read); err != nil {
		return err
	}
	if p, _ := s.cfg.Kinds.Policy(id.Kind()); p.NoSearch {
		return &room.Error{Code: room.CodeForbidden, Title: "Rooms of this kind are not searched.", Field: "room"}
	}
	return nil
}

// getSearch is GET /v1/rooms/{room}/search?q=&before=&limit= (rule FIND-1).
func (s *Server) getSearch(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := room.ParseID(r.PathValue("room"))
	if err != nil {
		return err
	}
	if err := s.searchable(r.Context(), who, id); err != nil {
		return err
	}
	want, err := parseSearch(r.URL.RawQuery, "before")
	if err != nil {
		return err
	}
	found, next, head, err := s.find(r, who, []room.ID{id}, nil, want)
	if refused := s.searchable(r.Context(), who, id); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if err != nil {
		return err
	}
	body := append(make([]byte, 0, 1024), `{"room":"`...)
	body = append(append(body, id...), `","epoch":"`...)
	body = append(append(body, head.Epoch...), `","head":`...)
	body = strconv.AppendInt(body, head.Seq, 10)
	body = appendFound(append(body, ','), found)
	if next > 0 {
		body = strconv.AppendInt(append(body, `,"next":`...), next, 10)
	}
	writeJSON(w, http.StatusOK, append(body, '}'))
	return nil
}

// getMySearch is GET /v1/me/search?q=&limit= (rule FIND-4).
func (s *Server) getMySearch(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	want, err := parseSearch(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ids, floors, err := s.myRooms(r, who)
	if err != nil {
		return err
	}
	found, next, _, err := s.find(r, who, ids, floors, want)
	if refused := s.admitted(who); refused != nil { // again, as each of the rooms
		return refused
	}
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(f foundEvent) bool { return s.searchable(r.Context(), who, f.room) != nil })
	body := appendFound([]byte{'{'}, found)
	body = strconv.AppendBool(append(body, `,"more":`...), next > 0)
	writeJSON(w, http.StatusOK, append(body, '}'))
	return nil
}

// myRooms are the rooms that a search in all of one's rooms looks through, with the least seq of each: those that are named, and those that one
// is a member of, as far as they may be read by what is known without asking about each. What is found there is judged once more; what could not
// be read would only have kept out what can.
func (s *Server) myRooms(r *http.Request, who *auth.Identity) (ids []room.ID, floors []room.Seq, err error) {
	of := make(map[room.ID]room.Seq)
	readable := func(id room.ID) (p room.Policy, limited, may bool) {
		p, known := s.cfg.Kinds.Policy(id.Kind())
		_, limited = s.members.limited(who, id)
		return p, limited, known && !p.NoSearch && who.Grants.Allow(auth.Read, id) && s.access.refuses(who, id) == nil
	}
	for _, g := range who.Grants {
		if strings.HasSuffix(g.Rooms, "*") || len(of) >= searchRooms {
			continue
		}
		if id, err := room.ParseID(g.Rooms); err == nil {
			if _, limited, may := readable(id); may && !limited {
				of[id] = 0
			}
		}
	}
	if s.cfg.Members != nil {
		mine, err := s.cfg.Members.Memberships(r.Context(), who.User, "", searchRooms)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range mine {
			p, limited, may := readable(m.Room)
			switch {
			case !may || limited && !p.RoleAllows(m.Role, string(auth.Read)):
			case limited && p.HistorySince:
				of[m.Room] = m.Since
			default:
				of[m.Room] = 0
			}
		}
	}
	ids = slices.Sorted(maps.Keys(of))
	for _, id := range ids {
		floors = append(floors, of[id])
	}
	return ids, floors, nil
}

// foundEvent is a message that was found, as it is now.
type foundEvent struct {
	room  room.ID
	event room.Event
}

// find searches rooms, and reads what it finds: what is no longer there, or does not say what is looked for any more, is left out
// (rule FIND-5). next is the lowest seq that it looked at, where there may be more; head is that of the last room read.
func (s *Server) find(r *http.Request, who *auth.Identity, ids []room.ID, floors []room.Seq, want searching) (found []foundEvent, next room.Seq, head room.Head, err error) {
	if len(ids) == 0 {
		return nil, 0, head, nil
	}
	hits, err := s.cfg.Search.Search(r.Context(), room.SearchQuery{
		Rooms: ids, Floors: floors, Before: want.before, Phrases: want.query.Phrases, Prefix: want.query.Prefix, Limit: want.limit + 1,
	})
	if err != nil {
		return nil, 0, head, err
	}
	hits = slices.DeleteFunc(hits, func(h room.Hit) bool { // what one may not read is not there, not even as a place to go on from
		return s.searchable(r.Context(), who, h.Room) != nil || h.Seq < s.members.floor(who, h.Room)
	})
	if len(hits) > want.limit {
		hits = hits[:want.limit]
		next = hits[want.limit-1].Seq
	}
	for _, hit := range hits {
		page, err := s.cfg.Search.Read(r.Context(), room.Query{Room: hit.Room, Anchor: room.After, Seq: hit.Seq - 1, Limit: 1, Present: true, As: who.User})
		if err != nil {
			return nil, 0, head, err
		}
		head = page.Head
		if len(page.Events) == 1 && page.Events[0].Seq == hit.Seq && page.Events[0].Gone == nil && want.query.Match(page.Events[0].Data) {
			found = append(found, foundEvent{hit.Room, page.Events[0]})
		}
	}
	if len(ids) == 1 && head.Room == "" {
		heads, err := s.cfg.Search.Heads(r.Context(), ids)
		if err != nil {
			return nil, 0, head, err
		}
		head = heads[0]
	}
	return found, next, head, nil
}

// appendFound appends the field `events`.
func appendFound(dst []byte, found []foundEvent) []byte {
	dst = append(dst, `"events":[`...)
	for i := range found {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendEvent(dst, found[i].room, &found[i].event)
	}
	return append(dst, ']')
}
