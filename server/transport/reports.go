package transport

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// routeReports adds the routes of reports, where a store keeps them.
func (s *Server) routeReports(mux *http.ServeMux) {
	if s.cfg.Reports == nil {
		return
	}
	mux.Handle("/v1/rooms/{room}/reports", s.api(methods{http.MethodPost: s.postReport, http.MethodGet: s.getReports}))
	mux.Handle("/v1/rooms/{room}/reports/{report}", s.api(methods{http.MethodDelete: s.deleteReport}))
}

// reportJSON is a report on the wire.
type reportJSON struct {
	ID     int64   `json:"id"`
	Room   room.ID `json:"room"`
	Seq    int64   `json:"seq"`
	By     string  `json:"by"`
	Reason string  `json:"reason"`
	At     string  `json:"at"`
}

func reportOf(r room.Report) reportJSON {
	return reportJSON{r.Number, r.Room, r.Seq, r.By, r.Reason, timeText(r.At)}
}

// postReport is POST /v1/rooms/{room}/reports: who may read an event may report it, once (rule MOD-3).
func (s *Server) postReport(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil {
		return err
	}
	var body struct {
		Seq    room.Seq `json:"seq"`
		Reason string   `json:"reason"`
	}
	if err := s.readOrder(w, r, &body); err != nil {
		return err
	}
	if body.Seq < 1 || body.Seq > room.MaxSeq {
		return badQuery("seq", "A report names an event of the room by its seq.")
	}
	if err := checkReason(body.Reason); err != nil {
		return err
	}
	if body.Seq < s.members.floor(who, id) {
		return room.NoSuchEvent()
	}
	// Who hangs up has reported: the webhook is told all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reportWithin)
	defer cancel()
	stored, made, err := s.cfg.Reports.PutReport(ctx, room.Report{Room: id, Seq: body.Seq, By: who.User, Reason: body.Reason}, s.cfg.Limits.ReportsPerUser)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
		if s.cfg.Webhooks != nil {
			s.cfg.Webhooks.Reported(id)
		}
		s.log.Info("event reported", "room", id, "seq", body.Seq, "by", who.User)
	}
	return writeRoom(w, status, reportOf(stored))
}

// reportWithin is how long the store may take to keep a report.
const reportWithin = 10 * time.Second

// getReports is GET /v1/rooms/{room}/reports?after=ID&limit=N: the open ones by their ids (rule MOD-4).
func (s *Server) getReports(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.mayOf(r, auth.Moderate)
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
	var after int64
	if q.Has("after") {
		if after, err = parseReport(q.Get("after"), "after", 0); err != nil {
			return err
		}
	}
	reports, more, err := s.cfg.Reports.Reports(r.Context(), id, after, parseLimit(limit))
	if err != nil {
		return err
	}
	list := make([]reportJSON, len(reports))
	for i, one := range reports {
		list[i] = reportOf(one)
	}
	return answerJSON(w, map[string]any{"reports": list, "more": more})
}

// deleteReport is DELETE /v1/rooms/{room}/reports/{id}: it is resolved, and needs no more looking at.
func (s *Server) deleteReport(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.mayOf(r, auth.Moderate)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	number, err := parseReport(r.PathValue("report"), "report", 1)
	if err != nil {
		return err
	}
	dropped, err := s.cfg.Reports.DropReport(r.Context(), id, number)
	if err != nil {
		return err
	}
	if dropped {
		s.log.Info("report resolved", "room", id, "report", number, "by", who.User)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func parseReport(text, field string, least int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > room.MaxSeq {
		return 0, badQuery(field, "This is the id of a report, a whole number.")
	}
	return n, nil
}
