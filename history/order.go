package history

import (
	"cmp"
	"math"
	"slices"
)

// interval is an event between its first send and its first ack.
type interval struct {
	from, to int64
	seq      int64
	event    *event
}

// checkRealTime is I5: an event that was acked before another was first sent has the smaller seq. One
// sweep over the sends in order of time, with the largest seq acked so far.
func checkRealTime(x *index, t *tally) {
	rooms := map[roomEpoch][]interval{}
	var order []roomEpoch
	for _, e := range x.events {
		at := e.place()
		from, sent := e.begun()
		if at == nil || !sent {
			continue
		}
		to, acked := e.acked()
		if !acked {
			to = math.MaxInt64
		}
		key := roomEpoch{e.room, at.Epoch}
		if rooms[key] == nil {
			order = append(order, key)
		}
		rooms[key] = append(rooms[key], interval{from: from, to: to, seq: at.Seq, event: e})
	}
	for _, key := range order {
		sweep(rooms[key], t)
	}
}

// sweep checks the events of one numbering.
func sweep(list []interval, t *tally) {
	acks := slices.Clone(list)
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	slices.SortFunc(acks, func(a, b interval) int { return cmp.Compare(a.to, b.to) })
	var last interval // of those acked so far, the one with the largest seq
	next := 0
	for _, send := range list {
		for next < len(acks) && acks[next].to < send.from {
			if acks[next].seq > last.seq {
				last = acks[next]
			}
			next++
		}
		if next == 0 {
			continue // nothing was acked before it
		}
		t.checked(1)
		if last.seq >= send.seq {
			t.violated(send.event.place(), "tag %s was sent %d ns after tag %s of %s was acked as seq %d, and got seq %d",
				send.event.tag, send.from-last.to, last.event.tag, last.event.room, last.seq, send.seq)
		}
	}
}

// checkSenderOrder is I6: what one client sent to one room in an order is stored in that order.
func checkSenderOrder(x *index, t *tally) {
	type sender struct {
		roomEpoch
		client string
	}
	type numbered struct {
		order int64
		event *event
	}
	senders := map[sender][]numbered{}
	var keys []sender
	for _, e := range x.events {
		at := e.place()
		if at == nil {
			continue
		}
		for _, l := range slices.Concat(e.invokes, e.attempts) {
			if l.Order > 0 {
				key := sender{roomEpoch{e.room, at.Epoch}, l.Client}
				if senders[key] == nil {
					keys = append(keys, key)
				}
				senders[key] = append(senders[key], numbered{l.Order, e})
				break
			}
		}
	}
	for _, key := range keys {
		list := senders[key]
		slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.order, b.order) })
		for i := 1; i < len(list); i++ {
			before, after := list[i-1], list[i]
			t.checked(1)
			if a, b := before.event.place(), after.event.place(); a.Seq >= b.Seq {
				t.violated(b, "%s sent tag %s as number %d to %s and tag %s as number %d; they got seq %d and %d",
					key.client, before.event.tag, before.order, key.room, after.event.tag, after.order, a.Seq, b.Seq)
			}
		}
	}
}

// checkTags is I7: all acks of a tag that was sent more than once name one place and one payload, and
// a tag is stored once.
func checkTags(x *index, t *tally) {
	for _, e := range x.events {
		if max(len(e.invokes), len(e.attempts)) < 2 && len(e.rows) < 2 {
			continue
		}
		if max(len(e.invokes), len(e.attempts)) >= 2 {
			t.checked(1)
		}
		for _, ack := range e.acks {
			first := e.acks[0]
			if ack.Epoch != first.Epoch && x.renumbered(first) {
				continue
			}
			if ack.Seq != first.Seq || ack.Epoch != first.Epoch {
				t.violated(ack, "tag %s of %q in %s was acked as %s:%d and as %s:%d", e.tag, e.author, e.room, first.Epoch, first.Seq, ack.Epoch, ack.Seq)
				break
			}
			if ack.PayloadHash != first.PayloadHash {
				t.violated(ack, "tag %s of %q in %s was acked with payload %s and with payload %s", e.tag, e.author, e.room, first.PayloadHash, ack.PayloadHash)
				break
			}
		}
		for i, row := range e.rows {
			if j := slices.IndexFunc(e.rows[:i], func(l *Line) bool { return l.Client == row.Client && l.Via == row.Via }); j >= 0 {
				t.violated(row, "tag %s of %q is stored in %s as seq %d and as seq %d", e.tag, e.author, e.room, e.rows[j].Seq, row.Seq)
				break
			}
		}
	}
}
