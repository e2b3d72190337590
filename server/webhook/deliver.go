package webhook

import (
	"context"
	"strconv"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// logged is a hook whose source is the log: it has a cursor in each room.
type logged hook

// begin has the store tell where the hook stands in rooms that it was never told of.
func (g *logged) begin(ctx context.Context, kind string) error {
	return g.engine.Store.BeginHook(ctx, g.cfg.Name, kind, g.cfg.FromStart)
}

func (g *logged) behind(ctx context.Context, kind string, after room.ID, limit int) ([]room.ID, room.ID, error) {
	return g.engine.Store.HooksBehind(ctx, g.cfg.Name, kind, after, limit)
}

// deliver brings one page, or a reset, of a room to the hook and moves its cursor. What the store does not do is
// a failure like any: the room is tried again.
func (g *logged) deliver(ctx context.Context, l *lagging) outcome {
	h := (*hook)(g)
	at, err := h.engine.Store.HookCursor(ctx, h.cfg.Name, l.id)
	if err != nil {
		return h.storeFailed("read its cursor", err)
	}
	q := room.Query{Room: l.id, Anchor: room.After, Seq: at.Seq, Limit: h.engine.Events, MaxBytes: h.engine.Bytes}
	if only := h.engine.MapOnly; only != nil && only(l.id.Kind()) {
		q.State = room.StateChanges
	}
	if left := l.upTo - at.Seq; left > 0 && left < int64(q.Limit) {
		q.Limit = int(left)
	}
	page, err := h.engine.Store.Read(ctx, q)
	if err != nil {
		return h.storeFailed("read the log", err)
	}
	id, body, to := "", []byte(nil), room.Position{}
	switch why := continues(at, page); {
	case why != "":
		l.upTo = 0
		id, body, to = h.reset(why, page.Head)
	case page.Seq() == page.Prev:
		return outcome{}
	default:
		l.upTo = page.Seq()
		id, body, to = h.page(page)
	}
	if _, err := h.caller.post(ctx, id, body, maxAnswer); err != nil {
		return outcome{err: failureOf(err)}
	}
	if _, err := h.engine.Store.MoveHookCursor(ctx, h.cfg.Name, l.id, &at, to); err != nil {
		return h.storeFailed("move its cursor", err)
	}
	l.upTo = 0
	return outcome{more: true, taken: true} // the next look finds out whether there is more, or a replay moved it
}

func (h *hook) storeFailed(step string, err error) outcome {
	if h.ctx.Err() == nil {
		h.engine.Log.Warn("webhook waits for the store", "hook", h.cfg.Name, "step", step, "error", err)
	}
	return outcome{err: &failure{words: "the store does not answer"}}
}

// continues says why a page does not go on from where the cursor stands; empty: it does. page was asked for
// after the cursor.
func continues(at room.Position, page room.Page) room.ResetReason {
	switch h := page.Head; {
	case at.Epoch != "" && at.Epoch != h.Epoch:
		return room.ResetEpoch
	case at.Seq > h.Seq:
		return room.ResetAhead
	case at.Seq < h.Floor-1:
		return room.ResetPruned
	case at.Mark != 0 && at.Mark != page.PrevMark && (page.PrevMark != 0 || !page.Layered): // that of state is forgotten in time
		return room.ResetDiverged
	}
	return ""
}

// page is a delivery of events: its webhook-id, its body, and where the cursor stands after it.
func (h *hook) page(p room.Page) (id string, body []byte, to room.Position) {
	to = p.Position()
	size := 512
	for i := range p.Events {
		size += len(p.Events[i].Data) + 256
	}
	body = h.opening(make([]byte, 0, size), "after_append", p.Head)
	body = append(body, `,"prev":`...)
	body = strconv.AppendInt(body, p.Prev, 10)
	body = append(body, `,"seq":`...)
	body = strconv.AppendInt(body, to.Seq, 10)
	body = append(body, `,"position":"`...)
	body = to.Append(body)
	body = append(body, `","events":[`...)
	for i := range p.Events {
		if i > 0 {
			body = append(body, ',')
		}
		body = wire.AppendEvent(body, p.Head.Room, &p.Events[i])
	}
	body = append(body, ']')
	layers := wire.Page{Full: p.Full, Docs: p.Docs}
	if len(p.State) > 0 {
		layers.State = wire.AppendState(nil, p.State)
	}
	body = append(layers.AppendLayers(body), '}')
	return h.deliveryID("page", p.Head, strconv.FormatInt(p.Prev, 10), to.String()), body, to
}

// reset is a delivery that says why the log cannot be continued. The hook goes on from the floor.
func (h *hook) reset(why room.ResetReason, head room.Head) (id string, body []byte, to room.Position) {
	to = room.Position{Epoch: head.Epoch, Seq: head.Floor - 1, Mark: head.FloorMark}
	body = h.opening(nil, "reset", head)
	body = append(body, `,"reason":"`...)
	body = append(body, why...)
	body = append(body, `","floor":`...)
	body = strconv.AppendInt(body, head.Floor, 10)
	body = append(body, `,"head":`...)
	body = strconv.AppendInt(body, head.Seq, 10)
	body = append(body, `,"seq":`...)
	body = strconv.AppendInt(body, to.Seq, 10)
	body = append(body, '}')
	return h.deliveryID("reset", head, string(why), to.String()), body, to
}

// opening is what every delivery has; none of it needs to be quoted.
func (h *hook) opening(dst []byte, typ string, head room.Head) []byte {
	for _, f := range [][2]string{{`{"type":"`, typ}, {`","hook":"`, h.cfg.Name}, {`","room":"`, string(head.Room)}, {`","epoch":"`, string(head.Epoch)}} {
		dst = append(append(dst, f[0]...), f[1]...)
	}
	return append(dst, '"')
}

// deliveryID is the same for each try of one delivery.
func (h *hook) deliveryID(what string, head room.Head, rest ...string) string {
	return what + "_" + digest(append([]string{h.cfg.Name, string(head.Room), string(head.Epoch)}, rest...)...)
}
