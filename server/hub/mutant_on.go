//go:build mutant

package hub

import (
	"context"
	"os"
	"slices"
	"time"

	"roomlog/server/room"
)

// mutant names the fault of this build: ack_first, publish_first, tail_skip, join_gap, floor_clamp, bus_blind, hint_trusted, member_later,
// unbounded_queue, fold_thin, dead_untold or docs_untold. Each must be caught by the test that a mutants.txt names, or the test proves nothing.
var mutant = os.Getenv("ROOMLOG_MUTANT")

// mutateAppend answers or publishes a batch before it is committed, guessing what it will be.
func (a *appender) mutateAppend(batch []*pending) {
	if mutant != "ack_first" && mutant != "publish_first" {
		return
	}
	for _, p := range batch {
		heads, err := a.hub.cfg.Store.Heads(context.Background(), []room.ID{p.Room})
		if err != nil {
			return
		}
		h := heads[0]
		v := room.Verdict{Seq: h.Seq + 1, Mark: 1, At: time.Now()}
		if mutant == "ack_first" {
			a.answer(p, Outcome{Verdict: v, Epoch: h.Epoch})
			continue
		}
		g := room.Growth{Head: h, Before: h.Seq, BeforeMark: h.Mark}
		g.Head.Seq, g.Head.Mark = v.Seq, v.Mark
		a.hub.publish(g, []room.Event{{
			Seq: v.Seq, Mark: v.Mark, Type: p.Type, Author: p.Author, Tag: p.Tag, At: v.At, Data: p.Data,
		}})
	}
}

// mutateBehind lets a cursor that is behind what memory has go on at the tail.
func (cur *cursor) mutateBehind() bool {
	if mutant != "tail_skip" {
		return false
	}
	tail := cur.room.segments[len(cur.room.segments)-1]
	cur.seq, cur.mark = tail.prev, tail.prevMark
	return true
}

// mutateJoin lets the room grow between the read of the first page and the placing of the cursor, which
// goes to the head.
func (cur *cursor) mutateJoin() {
	if r := cur.room; mutant == "join_gap" && cur.seq == r.head {
		r.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.mu.Lock()
		cur.seq, cur.mark = r.head, r.mark
	}
}

// mutateFloor lets a position below the floor go on at the floor, as if nothing were missing.
func (r *liveRoom) mutateFloor(p *room.Position) {
	if mutant == "floor_clamp" && p.Seq < r.floor-1 {
		p.Seq, p.Mark = r.floor-1, 0
	}
}

// mutateBlind leaves alone what other nodes appended and no hint told: nothing is read on, and no head compared.
func mutateBlind() bool { return mutant == "bus_blind" }

// mutateTrust takes a hint beyond the tail as if it adjoined it.
func (r *liveRoom) mutateTrust(g room.Growth, events []room.Event) ([]room.Event, bool) {
	if mutant != "hint_trusted" || !r.loaded || g.Head.Seq <= r.head || len(events) == 0 {
		return nil, false
	}
	return events[max(0, len(events)-int(g.Head.Seq-r.head)):], true
}

// mutateJudge gives a cursor what follows a change of members before it is ended.
func mutateJudge() bool { return mutant == "member_later" }

// mutateFold leaves the newest key out of a fold, as one that looks to the seq before its end would, or what was deleted, as one of the keys that
// have a value does. Tests of server/transport catch both.
func mutateFold(keys []room.StateEntry) []room.StateEntry {
	switch {
	case mutant == "fold_thin" && len(keys) > 0:
		return keys[:len(keys)-1]
	case mutant == "dead_untold":
		return slices.DeleteFunc(keys, func(e room.StateEntry) bool { return e.Value == nil })
	}
	return keys
}

// mutateDocs does not say that a fold leaves updates of documents out.
func mutateDocs(docs bool) bool { return docs && mutant != "docs_untold" }
