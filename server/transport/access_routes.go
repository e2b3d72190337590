package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// accessRoutes are the routes by which access is taken back. They are there where a store keeps it.
func (s *Server) accessRoutes(mux *http.ServeMux) {
	if s.cfg.Access == nil {
		return
	}
	mux.Handle("/v1/rooms/{room}/bans", s.api(methods{http.MethodGet: s.getBans}))
	mux.Handle("/v1/rooms/{room}/bans/{user}", s.api(methods{http.MethodPut: s.putBan, http.MethodDelete: s.deleteBan}))
	mux.Handle("/v1/rooms/{room}/mutes", s.api(methods{http.MethodGet: s.getMutes}))
	mux.Handle("/v1/rooms/{room}/mutes/{user}", s.api(methods{http.MethodPut: s.putMute, http.MethodDelete: s.deleteMute}))
	mux.Handle("/v1/users/{user}/revoke", s.api(methods{
		http.MethodPost: s.postRevoke, http.MethodGet: s.getRevoke, http.MethodDelete: s.deleteRevoke,
	}))
	mux.Handle("/v1/connections", s.api(methods{http.MethodGet: s.getConnections}))
}

// connectionMethods are those of one connection: its own commands, and what an admin may do to it.
func (s *Server) connectionMethods() methods {
	m := methods{http.MethodPost: s.postCommand}
	if s.cfg.Access != nil {
		m[http.MethodDelete] = s.deleteConnection
	}
	return m
}

// adminOf is who asks for something that concerns a room: a room that one may neither read nor administer
// is unknown, whether it exists or not. One's own ban is no hindrance to lifting it.
func (s *Server) adminOf(r *http.Request) (*auth.Identity, room.ID, error) {
	return s.mayOf(r, auth.Admin)
}

// mayOf is adminOf for any action. Who is banned moderates nothing.
func (s *Server) mayOf(r *http.Request, a auth.Action) (*auth.Identity, room.ID, error) {
	who, err := s.identify(r)
	if err != nil {
		return nil, "", err
	}
	id, err := room.ParseID(r.PathValue("room"))
	if err != nil {
		return nil, "", err
	}
	_, known := s.cfg.Kinds.Policy(id.Kind())
	if err := s.know(r.Context(), who, id, auth.Read); err != nil {
		return nil, "", err
	}
	if a != auth.Admin {
		if refused := s.access.refuses(who, id); refused != nil {
			return nil, "", refused
		}
	}
	switch role := s.members.refuses(who, id, a); {
	case known && who.Grants.Allow(a, id) && role == nil:
		return who, id, nil
	case known && who.Grants.Allow(auth.Read, id) && s.allowed(who, id, auth.Read) == nil:
		return nil, "", notGranted(a)
	}
	return nil, "", unknownRoom()
}

// admin is who asks for something that concerns users or connections, of whatever room.
func (s *Server) admin(r *http.Request) (*auth.Identity, error) {
	who, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	if !who.Grants.Everywhere(auth.Admin) {
		return nil, noAdmin()
	}
	return who, nil
}

func noAdmin() *room.Error { return notGranted(auth.Admin) }

func notGranted(a auth.Action) *room.Error {
	return &room.Error{Code: room.CodeForbidden, Title: "The token does not grant " + string(a) + " for this.", Field: "token"}
}

// banJSON is a ban on the wire.
type banJSON struct {
	Room   room.ID `json:"room"`
	User   string  `json:"user"`
	Until  string  `json:"until,omitempty"`
	Reason string  `json:"reason"`
	By     string  `json:"by"`
	At     string  `json:"at"`
}

func banOf(b room.Ban) banJSON {
	return banJSON{b.Room, b.User, timeText(b.Until), b.Reason, b.By, timeText(b.At)}
}

// timeText is a time as events have it (rule ROOM-6); none is "".
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(wire.AppendTime(nil, t))
}

// putBan is PUT /v1/rooms/{room}/bans/{user}.
func (s *Server) putBan(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.adminOf(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil { // who has one room has all others wait for these changes
		return err
	}
	user := r.PathValue("user")
	if err := auth.CheckUser(user); err != nil {
		return err
	}
	var body struct {
		For    *string `json:"for"`
		Reason string  `json:"reason"`
	}
	if err := s.readOrder(w, r, &body); err != nil {
		return err
	}
	b, err := newBan(who, id, user, body.For, body.Reason)
	if err != nil {
		return err
	}
	if err := s.takeBack(r.Context(), user, banning(b)); err != nil {
		return err
	}
	s.log.Info("user banned", "room", id, "user", user, "by", who.User, "until", timeText(b.Until))
	return answerJSON(w, banOf(b))
}

// newBan makes a ban that begins now.
func newBan(by *auth.Identity, id room.ID, user string, lasts *string, reason string) (room.Ban, error) {
	b := room.Ban{Room: id, User: user, Reason: reason, By: by.User, At: now()}
	d, err := parseFor(lasts)
	if err != nil {
		return b, err
	}
	if d > 0 {
		b.Until = b.At.Add(d)
	}
	return b, checkReason(reason)
}

// now is the time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func banning(b room.Ban) change {
	return change{
		keep:  func(ctx context.Context, store room.AccessStore) error { return store.PutBan(ctx, b) },
		apply: func(a *access) { a.ban(b) },
	}
}

func lifting(id room.ID, user string) change {
	return change{
		keep:  func(ctx context.Context, store room.AccessStore) error { return store.DropBan(ctx, id, user) },
		apply: func(a *access) { a.lift(id, user) },
		lifts: true,
	}
}

// deleteBan is DELETE /v1/rooms/{room}/bans/{user}: as if there had never been one.
func (s *Server) deleteBan(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.adminOf(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	user := r.PathValue("user")
	if err := auth.CheckUser(user); err != nil {
		return err
	}
	return s.lift(w, r, who, id, user)
}

// lift removes a ban of a room, or, where id is "", of all.
func (s *Server) lift(w http.ResponseWriter, r *http.Request, who *auth.Identity, id room.ID, user string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.changeWithin)
	defer cancel()
	if err := s.makeChanges(ctx, lifting(id, user)); err != nil {
		return err
	}
	s.feed.again(user)
	s.log.Info("ban lifted", "room", id, "user", user, "by", who.User)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// What lists hold.
const (
	defaultList = 100
	maxList     = 1000
)

func parseLimit(n int) int {
	if n == 0 {
		return defaultList
	}
	return min(n, maxList)
}

// getBans is GET /v1/rooms/{room}/bans?after=USER&limit=N: in the order of users.
func (s *Server) getBans(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.adminOf(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery, "after", "limit")
	if err != nil {
		return err
	}
	limit, err := parseCount(q, "limit", 1)
	if err != nil {
		return err
	}
	bans, more := s.access.bansOf(id, q.Get("after"), parseLimit(limit))
	list := make([]banJSON, len(bans))
	for i, b := range bans {
		list[i] = banOf(b)
	}
	return answerJSON(w, map[string]any{"bans": list, "more": more})
}

// firstBans sorts bans by user and cuts the list.
func firstBans(bans []room.Ban, limit int) ([]room.Ban, bool) {
	slices.SortFunc(bans, func(a, b room.Ban) int { return strings.Compare(a.User, b.User) })
	if len(bans) > limit {
		return bans[:limit], true
	}
	return bans, false
}

// readOrder reads the body of an order, which may be left out. A field that is not known is refused, unlike
// elsewhere: an order that is carried out in part would look like one that was carried out.
func (s *Server) readOrder(w http.ResponseWriter, r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	bad := &room.Error{Code: room.CodeBadRequest, Title: "The body is one JSON object of fields that the protocol names."}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !utf8.Valid(body) {
		return bad
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		bad.Field = fieldOf(err)
		return bad
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad
	}
	if name, plain := plainFields(body); !plain {
		bad.Field = name
		return bad
	}
	return nil
}

// plainFields finds the field of an order that could mean two things. encoding/json takes `For` for `for`, the
// last of two, and null for nothing at all: for a ban without end.
func plainFields(body []byte) (name string, plain bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	_, _ = d.Token() // the brace: the body was read before
	seen := make(map[string]bool)
	for d.More() {
		key, _ := d.Token()
		name, _ := key.(string)
		var value json.RawMessage
		if d.Decode(&value) != nil || seen[name] || string(value) == "null" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" {
			return name, false
		}
		seen[name] = true
	}
	return "", true
}

// fieldOf is the field that a decoder stumbled over, where it says so.
func fieldOf(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return wrong.Field
	}
	quoted, found := strings.CutPrefix(err.Error(), "json: unknown field ")
	name, unquoted := strconv.Unquote(quoted)
	if !found || unquoted != nil || len(name) > maxField {
		return ""
	}
	return name
}

// maxField bounds the name of a foreign field in an error.
const maxField = 64

// parseFor reads how long something lasts; nil is 0: until it is undone.
func parseFor(text *string) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	const most = 10 * 365 * 24 * time.Hour
	d, err := time.ParseDuration(*text)
	if err != nil || d < time.Second || d > most {
		return 0, badQuery("for", "For is how long it lasts, such as 90m or 24h, from 1s to 87600h.")
	}
	return d, nil
}

const maxReason = 500

func checkReason(text string) error {
	if len(text) > maxReason || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return &room.Error{Code: room.CodeBadRequest, Title: "A reason is at most 500 bytes of text without control characters.", Field: "reason", Limit: maxReason}
	}
	return nil
}

func answerJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
