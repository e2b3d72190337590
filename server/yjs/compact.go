package yjs

// Compact gives an update with the same document that has no more than a reader needs: the content of deleted
// items is dropped, what deleted types held becomes GC structs, and neighbours are joined. It is what a Yjs
// document with garbage collection would encode, but for neighbours: these are joined even where others inserted
// between them, since a reader parts them again. What waits for missing units still waits.
//
// Who shows old versions of a document (the snapshots of Yjs) needs what is dropped here, and must not compact.
func Compact(update []byte) ([]byte, error) {
	s, err := scanAll([][]byte{update})
	if err != nil {
		return nil, err
	}
	s.sort()
	for i := 1; i < len(s.runs); i++ {
		if s.runs[i].client == s.runs[i-1].client && s.runs[i].clock < s.runs[i-1].end {
			// A client's units come twice: each is to stand once.
			if s, err = scanAll([][]byte{s.merge(nil).finish(s.deletes)}); err != nil {
				return nil, err
			}
			break
		}
	}
	return s.compact(), nil
}

func (s *scan) compact() []byte {
	t := newTree(s)
	c := compacting{out: newWriter(s.size), deletes: s.deletes}
	var w walker
	i := 0
	for r := range s.runs {
		run := &s.runs[r]
		if r == 0 || run.client != c.out.client {
			c.close()
			c.out.open(run.client)
			c.deleted = t.deleted[run.client]
		}
		for w.begin(run); w.next(); i++ {
			c.block(&w.block, t.nodes[i].fate == dead, t.nodes[i].free)
		}
	}
	c.close()
	return c.out.finish(c.deletes)
}

// compacting builds the struct that may still grow, and hands it on when the next one does not join it.
type compacting struct {
	out     *writer
	deleted spans     // of the client, from where it is on
	deletes []stretch // all, and those that the structs imply

	built   bool // whether there is such a struct: an item
	free    bool
	kind    byte
	info    byte
	right   id
	start   uint64
	end     uint64
	head    []byte // encoded
	content []byte // text, elements
}

// block takes the next struct: dead, if its parent is gone; free, if it may be joined while it is alive.
func (c *compacting) block(b *block, dead, free bool) {
	end := b.end()
	if dead || b.kind() == kindGC {
		c.flush()
		c.out.putGC(b.clock, end)
	}
	if dead || b.kind() == kindGC || b.kind() == kindDeleted {
		c.deletes = append(c.deletes, stretch{b.client, span{b.clock, end}})
	}
	if dead || b.kind() == kindGC {
		return
	}
	if b.kind() == kindDeleted {
		c.item(b, b.clock, end, kindDeleted, true)
		return
	}
	for from := b.clock; from < end; {
		to := end
		if c.deleted = c.deleted.from(from); len(c.deleted) == 0 || c.deleted[0].start >= end {
			c.item(b, from, to, b.kind(), free)
		} else if c.deleted[0].start <= from {
			to = min(end, c.deleted[0].end)
			c.item(b, from, to, kindDeleted, true)
		} else {
			to = c.deleted[0].start
			c.item(b, from, to, b.kind(), free)
		}
		from = to
	}
}

// item takes the units [from, to) of an item, as content of a kind.
func (c *compacting) item(b *block, from, to uint64, kind byte, free bool) {
	switch kind {
	case kindDeleted, kindString, kindAny, kindJSON:
	default:
		c.flush()
		c.out.put(b, from, to, false)
		return
	}
	if !c.joins(b, from, kind) {
		c.flush()
		c.built, c.free, c.kind, c.info, c.right, c.start = true, free, kind, b.info, b.right, from
		c.head = b.appendHead(c.head[:0], kind, from-b.clock)
	}
	c.end = to
	switch kind {
	case kindString:
		text, halves := b.text(from-b.clock, to-b.clock)
		c.content = halves.appendText(c.content, text)
	case kindAny, kindJSON:
		c.content = append(c.content, b.elements(from-b.clock, to-b.clock)...)
	}
}

// joins says whether what begins at a clock of an item goes on where the struct that was built ends.
func (c *compacting) joins(b *block, from uint64, kind byte) bool {
	if !c.built || !c.free || kind != c.kind || from != c.end || (b.info^c.info)&hasRight != 0 || b.info&hasRight != 0 && b.right != c.right {
		return false
	}
	return from > b.clock || b.info&hasOrigin != 0 && b.origin == id{b.client, from - 1}
}

func (c *compacting) flush() {
	if !c.built {
		return
	}
	w := c.out
	w.reach(c.start)
	w.body = append(w.body, c.head...)
	if c.kind == kindString {
		w.body = appendUint(w.body, uint64(len(c.content)))
	} else {
		w.body = appendUint(w.body, c.end-c.start)
	}
	w.body = append(w.body, c.content...)
	w.count++
	w.next = c.end
	c.built, c.content = false, c.content[:0]
}

func (c *compacting) close() {
	c.flush()
	c.out.close()
}
