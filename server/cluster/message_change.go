package cluster

import (
	"encoding/binary"
	"time"

	"roomlog/server/room"
)

// sayHint encodes a hint of a room's growth, as the kind that its events need.
func (n *Node) sayHint(g room.Growth, events []room.Event) []byte {
	if changed(events) == 0 {
		return appendHint(begin(kindHint, n.id), g, events)
	}
	return appendChanges(appendHint(begin(kindHintOfChanges, n.id), g, events), events)
}

// changed is how many of events have more than their authors sent.
func changed(events []room.Event) (count int) {
	for i := range events {
		if changes(&events[i]) {
			count++
		}
	}
	return count
}

func changes(e *room.Event) bool { return e.Target != 0 || e.Gone != nil }

// appendChanges encodes what the events of a hint have to do with others. Of each that has: where it is among them, its target
// or 0, the seq of the event that deleted it or 0, and then by whom and when.
func appendChanges(b []byte, events []room.Event) []byte {
	b = binary.AppendUvarint(b, uint64(changed(events)))
	for i := range events {
		e := &events[i]
		if !changes(e) {
			continue
		}
		b = binary.AppendUvarint(b, uint64(i))
		b = appendSeq(b, e.Target)
		if e.Gone == nil {
			b = appendSeq(b, 0)
			continue
		}
		b = appendSeq(b, e.Gone.Seq)
		b = appendText(b, e.Gone.By)
		b = binary.AppendVarint(b, e.Gone.At.UnixMicro())
	}
	return b
}

// readHintOfChanges decodes a hint and what appendChanges made of its events.
func readHintOfChanges(id room.ID, body []byte) (g room.Growth, events []room.Event, ok bool) {
	r := reader{rest: body}
	g, events = r.hint(id)
	for range min(r.number(), uint64(len(events))) {
		i := r.number()
		if i >= uint64(len(events)) {
			return g, nil, false
		}
		e := &events[i]
		e.Target = r.seq()
		if by := r.seq(); by != 0 {
			e.Gone = &room.Gone{Seq: by, By: r.text(), At: time.UnixMicro(r.signed()).UTC()}
		}
	}
	return g, events, r.whole()
}
