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
	// frameBytes is about how many bytes of events a page holds. What an append brought at once is one page, whose
	// head is most of what a page of a single small event weighs.
	frameBytes = 8 << 10
	// frameEvents is how many events must have come at once to be one page. Fewer stay a page each, as the
	// transcripts of the protocol show them: there is little to save.
	frameEvents = 4
	// segmentCost is what an empty segment is charged against the byte budget: its own fields, its
	// room's, and their places in maps and lists.
	segmentCost = 1 << 10
)

// segment is a piece of a room's log in memory: the events in (prev, last], encoded once per framing. What
// came at once is one page; so most cursors stand on a boundary between pages, and what they lack is a
// byte range. One that stands inside of a page is given the rest of it as a page of its own.
//
// The owning room's lock guards all but lives. Bytes once written never change, and growth appends
// behind them: a slice handed to a connection stays good without the lock, also after eviction.
type segment struct {
	room     *liveRoom
	prev     room.Seq
	prevMark room.Mark
	marks    []room.Mark // of prev+1, prev+2, …
	spans    []span      // of the encoded events inside the WebSocket frames
	upto     []uint16    // how many of the events there are up to the end of each page
	frames   [wire.Framings]strip
	passed   int64 // of the room when it began

	lives atomic.Int32 // how often the budget's hand still passes it by
}

// span is where an event begins and ends.
type span struct{ start, end uint32 }

// strip is a run of pages: page i ends at ends[i].
type strip struct {
	bytes []byte
	ends  []uint32
}

func newSegment(r *liveRoom, prev room.Seq, prevMark room.Mark) *segment {
	s := &segment{room: r, prev: prev, prevMark: prevMark, passed: r.passed}
	s.lives.Store(2)
	return s
}

// touch says that the segment was used since the budget last looked: it has a second chance. A new one
// has two, so that whoever waits for it finds it.
func (s *segment) touch() {
	if s.lives.Load() != 1 {
		s.lives.Store(1)
	}
}

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

// add takes the first of the events, which follow last, as one page: as many as belong into one. It says how
// many that were, and by how much the segment grew.
func (s *segment) add(events []room.Event) (n int, grown int64) {
	before := s.weight()
	if len(events) < frameEvents {
		events = events[:1]
	}
	encoded := make([]byte, 0, min(frameBytes, len(events)*(len(events[0].Data)+256)))
	first := len(s.spans)
	for n < len(events) && (n == 0 || len(encoded)+len(events[n].Data) < frameBytes && s.last()%segmentEvents != 0) {
		e := &events[n]
		if n++; n > 1 {
			encoded = append(encoded, ',')
		}
		start := len(encoded)
		encoded = wire.AppendEvent(encoded, s.room.id, e)
		s.spans = append(s.spans, span{uint32(start), uint32(len(encoded))})
		s.marks = append(s.marks, e.Mark)
	}
	s.upto = append(s.upto, uint16(len(s.marks)))
	for f := range s.frames {
		if f == int(wire.WebSocket) || s.frames[f].ends != nil {
			s.frame(wire.Framing(f), first, encoded)
		}
	}
	// The events stand before the end of the frame, which is `]}`.
	at := uint32(len(s.frames[wire.WebSocket].bytes) - len(`]}`) - len(encoded))
	for i := range s.spans[first:] {
		s.spans[first+i].start += at
		s.spans[first+i].end += at
	}
	return n, s.weight() - before
}

// frame appends the page of the encoded events from index first to the end of the next page.
func (s *segment) frame(f wire.Framing, first int, events []byte) {
	st := &s.frames[f]
	st.bytes = f.AppendPage(st.bytes, s.page(first, int(s.upto[len(st.ends)])), events)
	st.ends = append(st.ends, uint32(len(st.bytes)))
}

// page is what a page of the events from index first up to end says besides them.
func (s *segment) page(first, end int) wire.Page {
	return wire.Page{
		Room: s.room.id, Epoch: s.room.epoch,
		Prev: s.prev + room.Seq(first), Seq: s.prev + room.Seq(end), Mark: s.marks[end-1],
	}
}

// framed returns the strip of f. All framings but the first are encoded when first asked for.
func (s *segment) framed(f wire.Framing) *strip {
	st := &s.frames[f]
	if len(st.ends) == len(s.upto) {
		return st
	}
	before := s.weight()
	for i := len(st.ends); i < len(s.upto); i++ {
		first := s.begins(i)
		s.frame(f, first, s.events(first, int(s.upto[i])))
	}
	s.room.hub.cache.grew(s.weight() - before)
	return st
}

// begins is the index of the first event of page i.
func (s *segment) begins(i int) int {
	if i == 0 {
		return 0
	}
	return int(s.upto[i-1])
}

// events is the encoded events from index first up to end, which are of one page, separated by commas.
func (s *segment) events(first, end int) []byte {
	return s.frames[wire.WebSocket].bytes[s.spans[first].start:s.spans[end-1].end:s.spans[end-1].end]
}

// event is the encoded event at index i.
func (s *segment) event(i int) []byte { return s.events(i, i+1) }

// slice returns the pages after seq, about limit bytes but at least one page, and the seq where they end. seq
// lies in [prev, last).
func (s *segment) slice(f wire.Framing, seq room.Seq, limit int) ([]byte, room.Seq) {
	st := s.framed(f)
	first := int(seq - s.prev)
	i := s.pageAt(first)
	if s.begins(i) != first {
		end := int(s.upto[i])
		return f.AppendPage(nil, s.page(first, end), s.events(first, end)), s.prev + room.Seq(end)
	}
	var start uint32
	if i > 0 {
		start = st.ends[i-1]
	}
	last := len(st.ends) - 1
	if int(st.ends[last]-start) > limit {
		last = i + max(1, sort.Search(last-i, func(n int) bool { return int(st.ends[i+n]-start) > limit })) - 1
	}
	end := st.ends[last]
	return st.bytes[start:end:end], s.prev + room.Seq(s.upto[last])
}

// pageAt is the page that holds the event at index i. Most who ask stand near the end.
func (s *segment) pageAt(i int) int {
	if last := len(s.upto) - 1; s.begins(last) <= i {
		return last
	}
	return sort.Search(len(s.upto), func(n int) bool { return int(s.upto[n]) > i })
}

// weight is what the segment is charged against the byte budget.
func (s *segment) weight() int64 {
	w := segmentCost + 8*cap(s.marks) + 8*cap(s.spans) + 2*cap(s.upto)
	for f := range s.frames {
		w += cap(s.frames[f].bytes) + 4*cap(s.frames[f].ends)
	}
	return int64(w)
}
