package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// reported is a hook whose source are reports: the store keeps of each whether it was told.
type reported hook

func (*reported) begin(context.Context, string) error { return nil }

func (p *reported) behind(ctx context.Context, kind string, after room.ID, limit int) ([]room.ID, room.ID, error) {
	return p.engine.Reports.UntoldRooms(ctx, kind, after, limit)
}

// reportJSON is what is told of a report.
type reportJSON struct {
	Type   string  `json:"type"`
	Hook   string  `json:"hook"`
	Room   room.ID `json:"room"`
	ID     int64   `json:"id"`
	Seq    int64   `json:"seq"`
	By     string  `json:"by"`
	Reason string  `json:"reason"`
	At     string  `json:"at"`
}

// deliver brings the first report of a room that was not told to the hook, and notes that it was (rule MOD-5).
func (p *reported) deliver(ctx context.Context, l *lagging) outcome {
	h := (*hook)(p)
	r, found, err := h.engine.Reports.UntoldReport(ctx, l.id)
	switch {
	case err != nil:
		return h.storeFailed("read a report", err)
	case !found:
		return outcome{}
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	at := string(wire.AppendTime(nil, r.At))
	if err := encoder.Encode(reportJSON{"report", h.cfg.Name, r.Room, r.Number, r.Seq, r.By, r.Reason, at}); err != nil {
		return outcome{err: &failure{words: "the report cannot be written"}}
	}
	id := "report_" + digest(h.cfg.Name, string(r.Room), strconv.FormatInt(r.Number, 10), at) // the time: a store that was put back gives numbers again
	if _, err := h.caller.post(ctx, id, bytes.TrimSuffix(body.Bytes(), []byte("\n")), maxAnswer); err != nil {
		return outcome{err: failureOf(err)}
	}
	if err := h.engine.Reports.ReportTold(ctx, r.Number); err != nil {
		return h.storeFailed("note that a report was told", err)
	}
	return outcome{more: true, taken: true}
}
