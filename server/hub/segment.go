package hub

import (
	"sort"
	"sync/atomic"

	"roomlog/server/room"
	"roomlog/server/wire"
)

const (
	// segmentEvents is how many events a segment holds, and how blocks of the store are aligned: two
	// readers who are behind in the same place need the same block, and share one read.
	segmentEvents = 128
	// segmentBytes closes a growing segment early where events are large.
	segmentBytes = 64 << 10
	// blockBytes is the most data one block read brings; a block of larger events is shorter.
	blockBytes = 256 << 10
	// segmentCost is what an empty segment is charged against the byte budget: its own fields, its
	// room's, and their places in maps and lists.
	segmentCost = 1 << 10
)

// segment is a piece of a room's log in memory: the events in (prev, last], each encoded once per
// framing as a page of its own (prev = seq-1). So every cursor stands on a boundary, and what it
// lacks is a byte range. The tail of a live room is its last segment; blocks read for those who are
// behind are segments like it.
//
// The owning room's lock guards all but lives. Bytes once written never change, and growth appends
// behind them: a slice handed to a connection stays good without the lock, also after eviction.
type segment struct {
	room     *liveRoom
	prev     room.Seq
	prevMark room.Mark
	marks    []room.Mark // of prev+1, prev+2, …
	sizes    []uint32    // of the encoded event inside each frame
	frames   [wire.Framings]strip

	lives atomic.Int32 // how often the budget's hand still passes it by
}

// strip is a run of frames: frame i ends at ends[i].
type strip struct {
	bytes []byte
	ends  []uint32
}

func newSegment(r *liveRoom, prev room.Seq, prevMark room.Mark) *segment {
	s := &segment{room: r, prev: prev, prevMark: prevMark}
	s.lives.Store(2)
	return s
}

// touch says that the segment was used since the budget last looked: it has a second chance. A new one
// has two, so that whoever waits for it finds it.
func (s *segment) touch() { s.lives.Store(1) }

func (s *segment) last() room.Seq { return s.prev + room.Seq(len(s.marks)) }

func (s *segment) full() bool {
	return len(s.frames[wire.WebSocket].bytes) >= segmentBytes || s.last()%segmentEvents == 0 && len(s.marks) > 0
}

// markAt is the mark of seq, which lies in [prev, last].
func (s *segment) markAt(seq room.Seq) room.Mark {
	if seq == s.prev {
		return s.prevMark
	}
	return s.marks[seq-s.prev-1]
}

// add encodes the event that follows last. It returns by how much the segment grew.
func (s *segment) add(e *room.Event) int64 {
	before := s.weight()
	event := wire.AppendEvent(make([]byte, 0, len(e.Data)+256), s.room.id, e)
	for f := range s.frames {
		if f == int(wire.WebSocket) || s.frames[f].ends != nil {
			s.frame(wire.Framing(f), e.Seq, e.Mark, event)
		}
	}
	s.marks = append(s.marks, e.Mark)
	s.sizes = append(s.sizes, uint32(len(event)))
	return s.weight() - before
}

func (s *segment) frame(f wire.Framing, seq room.Seq, mark room.Mark, event []byte) {
	p := wire.Page{Room: s.room.id, Epoch: s.room.epoch, Prev: seq - 1, Seq: seq, Mark: mark}
	st := &s.frames[f]
	st.bytes = f.AppendPage(st.bytes, p, event)
	st.ends = append(st.ends, uint32(len(st.bytes)))
}

// framed returns the strip of f. All framings but the first are encoded when first asked for.
func (s *segment) framed(f wire.Framing) *strip {
	st := &s.frames[f]
	if len(st.ends) == len(s.marks) {
		return st
	}
	before := s.weight()
	for i := len(st.ends); i < len(s.marks); i++ {
		s.frame(f, s.prev+room.Seq(i)+1, s.marks[i], s.event(i))
	}
	s.room.hub.cache.grew(s.weight() - before)
	return st
}

// event is the encoded event at index i, found inside its WebSocket frame, which ends in `]}`.
func (s *segment) event(i int) []byte {
	st := &s.frames[wire.WebSocket]
	end := st.ends[i] - uint32(len(`]}`))
	return st.bytes[end-s.sizes[i] : end : end]
}

// slice returns the frames after seq, at most limit bytes but at least one frame, and the seq where
// they end. seq lies in [prev, last).
func (s *segment) slice(f wire.Framing, seq room.Seq, limit int) ([]byte, room.Seq) {
	st := s.framed(f)
	first := int(seq - s.prev)
	var start uint32
	if first > 0 {
		start = st.ends[first-1]
	}
	n := sort.Search(len(st.ends)-first, func(i int) bool { return int(st.ends[first+i]-start) > limit })
	n = max(n, 1)
	end := st.ends[first+n-1]
	return st.bytes[start:end:end], seq + room.Seq(n)
}

// weight is what the segment is charged against the byte budget.
func (s *segment) weight() int64 {
	w := segmentCost + 8*cap(s.marks)
	for f := range s.frames {
		w += cap(s.frames[f].bytes) + 4*cap(s.frames[f].ends)
	}
	return int64(w)
}
