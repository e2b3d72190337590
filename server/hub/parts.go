package hub

import (
	"slices"
	"unicode/utf8"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// partMost is how many bytes of text one frame has.
const partMost = 8 << 10

// parts is the side of what messages that stream have of their texts so far. It is not the latest value per key: a cursor has an
// offset in each text in place of a version, and is given what follows; who is slow is given more of it at a time. The lock of the
// room's sides guards it.
type parts struct {
	of   []*part // in the order of their messages
	last int64   // when texts were shown last, on the hub's clock; 0: never
	due  bool    // the tick knows of it
}

// part is the text of a message that streams. Bytes that it has are never written again.
type part struct {
	seq    room.Seq
	gen    uint64 // rises where the text does not go on from what it was
	text   string
	shown  int // of the bytes: what readers are brought to
	frames [wire.Framings]partFrame
}

// partFrame is an encoded frame, which all who stand at the same offset share.
type partFrame struct {
	from, to int
	bytes    []byte
}

// partAt is where a cursor stands in a text.
type partAt struct {
	gen uint64 // 0: as the client said
	at  int
}

func (p *parts) find(seq room.Seq) (int, bool) {
	return slices.BinarySearchFunc(p.of, seq, func(one *part, seq room.Seq) int { return int(one.seq - seq) })
}

// SetPart tells what a message that streams has of its text; gen is above 0, and a higher one says that the text is another from its
// beginning. What is older than what was told changes nothing. Of a room whose parts nobody reads nothing is kept.
func (h *Hub) SetPart(id room.ID, seq room.Seq, gen uint64, text string) {
	h.sides.with(id, func(r *roomSides) {
		if r.parts == nil {
			return
		}
		at, found := r.parts.find(seq)
		if !found {
			r.parts.of = slices.Insert(r.parts.of, at, &part{seq: seq, gen: gen})
		}
		p := r.parts.of[at]
		switch {
		case gen < p.gen || gen == p.gen && len(text) <= len(p.text):
			return
		case gen > p.gen:
			p.gen, p.shown, p.frames = gen, 0, [len(p.frames)]partFrame{}
		}
		p.text = text
		r.showSoon(SideParts, sideEvery[SideParts], r.parts.last, &r.parts.due)
	})
}

// EndPart says that a message streams no more. Readers are told by its log.
func (h *Hub) EndPart(id room.ID, seq room.Seq) {
	h.sides.with(id, func(r *roomSides) {
		if r.parts == nil {
			return
		}
		if at, found := r.parts.find(seq); found {
			r.parts.of = slices.Delete(r.parts.of, at, at+1)
		}
	})
}

// advance moves what is shown to what there is. The caller holds the lock.
func (p *parts) advance(now int64) {
	p.last, p.due = now, false
	for _, one := range p.of {
		one.shown = len(one.text)
	}
}

// pullParts appends what follows in the texts of the room, as pullSides does. The caller holds the locks of the connection and of the sides.
func (cur *cursor) pullParts(bufs [][]byte, limit int, written bool) (_ [][]byte, more bool) {
	b := cur.beside
	texts := b.sides.parts
	if texts == nil || !b.with.Has(SideParts) {
		return bufs, false
	}
	if len(b.parts) > 2*len(texts.of)+8 { // of messages that stream no more
		kept := make(map[room.Seq]partAt, len(texts.of))
		for _, p := range texts.of {
			if at, has := b.parts[p.seq]; has {
				kept[p.seq] = at
			}
		}
		b.parts = kept
	}
	for _, p := range texts.of {
		if p.seq < cur.base {
			continue // as if it were pruned (rule MEM-6)
		}
		at := b.parts[p.seq]
		if at.gen != p.gen && at.gen != 0 || at.at < len(p.text) && !utf8.RuneStart(p.text[at.at]) {
			at.at = 0
		}
		for at.gen = p.gen; at.at < p.shown; {
			frame, to := p.frame(cur.conn.framing, b.sides.id, at.at)
			if written && len(frame) > limit {
				return bufs, true
			}
			bufs = append(bufs, frame)
			limit, written = limit-len(frame), true
			at.at = to
			b.stand(p.seq, at)
		}
	}
	return bufs, false
}

func (b *beside) stand(seq room.Seq, at partAt) {
	if b.parts == nil {
		b.parts = make(map[room.Seq]partAt)
	}
	b.parts[seq] = at
}

// frame is what follows an offset below what is shown, up to partMost bytes of it.
func (p *part) frame(f wire.Framing, id room.ID, from int) (frame []byte, to int) {
	to = min(p.shown, from+partMost)
	for to < p.shown && !utf8.RuneStart(p.text[to]) {
		to--
	}
	if d := &p.frames[f]; d.bytes == nil || d.from != from || d.to != to {
		*d = partFrame{from, to, f.AppendPart(nil, wire.Part{Room: id, Seq: p.seq, Offset: from, Text: p.text[from:to]})}
	}
	return p.frames[f].bytes, to
}
