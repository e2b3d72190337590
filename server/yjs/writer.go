package yjs

// writer encodes an update. The number of clients stands before their sections and the number of structs before
// those, so both are written last.
type writer struct {
	out     []byte // room for the number of clients, then the finished sections
	clients uint64

	client uint64 // of the section now
	start  uint64 // the first clock
	next   uint64 // the clock behind the last struct
	count  uint64
	gc     uint64 // units of a GC struct at the end, counted but not yet in body
	body   []byte
}

const room = 8 // a number has at most as many bytes

func newWriter(size int) *writer {
	return &writer{out: make([]byte, room, room+size)}
}

// open begins the section of a client.
func (w *writer) open(client uint64) {
	w.client, w.count, w.gc = client, 0, 0
	w.body = w.body[:0]
}

// reach makes sure that a struct may be written that begins at a clock, with a Skip where something is missing.
func (w *writer) reach(clock uint64) {
	w.flush()
	if w.count == 0 {
		w.start = clock
	} else if clock > w.next {
		w.body = appendUint(append(w.body, kindSkip), clock-w.next)
		w.count++
	}
	w.next = clock
}

func (w *writer) flush() {
	if w.gc > 0 {
		w.body = appendUint(append(w.body, kindGC), w.gc)
		w.gc = 0
	}
}

// put writes the units [from, to) of a block, by their clocks. With join, a GC struct is made one with one before.
func (w *writer) put(b *block, from, to uint64, join bool) {
	if b.kind() == kindGC {
		if !join {
			w.flush()
		}
		w.putGC(from, to)
		return
	}
	w.reach(from)
	w.body = b.appendPiece(w.body, from-b.clock, to-b.clock)
	w.count++
	w.next = to
}

// putGC writes a GC struct, or makes the one before longer.
func (w *writer) putGC(from, to uint64) {
	if w.gc == 0 || from != w.next {
		w.reach(from)
		w.count++
	}
	w.gc += to - from
	w.next = to
}

// close ends the section; one without structs is left out.
func (w *writer) close() {
	w.flush()
	if w.count > 0 {
		w.out = appendUint(appendUint(appendUint(w.out, w.count), w.client), w.start)
		w.out = append(w.out, w.body...)
		w.clients++
	}
}

// finish gives the update, with the deletions, which need not be in order.
func (w *writer) finish(deletes []stretch) []byte {
	out := appendDeletes(w.out, tidy(deletes))
	var head [room]byte
	number := appendUint(head[:0], w.clients)
	return out[room-copy(out[room-len(number):], number):]
}
