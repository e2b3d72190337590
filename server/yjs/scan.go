package yjs

// scan is what reading updates once finds: where the structs of each client are, and what is deleted.
type scan struct {
	runs    []run
	deletes []stretch
	size    int // bytes read
}

// run is a stretch of one client's structs without a gap: no Skip is among them.
type run struct {
	id           // the first unit
	end   uint64 // the clock behind the last
	count int    // structs
	bytes []byte
	order int // of being read
}

func scanAll(updates [][]byte) (*scan, error) {
	s := new(scan)
	if len(updates) > 1 {
		s.runs = make([]run, 0, len(updates))
	}
	for _, update := range updates {
		if err := s.read(update, &wide); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read checks an update to its last byte, and adds what it has.
func (s *scan) read(update []byte, limits *Limits) error {
	d := decoder{buf: update, limits: limits}
	sections := d.uint()
	if sections > uint64(limits.Clients) {
		d.failLimit("The update has units of too many clients.", limits.Clients)
	}
	structs := 0
	for ; sections > 0 && d.err == nil; sections-- {
		count := d.uint()
		first := id{d.uint(), d.uint()}
		if count > uint64(limits.Structs-structs) {
			d.failLimit("The update has too many structs and deleted ranges.", limits.Structs)
			break
		}
		structs += int(count)
		s.section(&d, first, count)
	}
	s.deleted(&d, limits.Structs, structs)
	if d.err == nil && d.at < len(d.buf) {
		d.fail("Something follows the end of the update.")
	}
	s.size += len(update)
	if d.err != nil {
		return d.err
	}
	return nil
}

func (s *scan) section(d *decoder, first id, count uint64) {
	b := block{id: first}
	now := run{id: first, end: first.clock}
	start := d.at
	leave := func(end int) {
		if now.count > 0 {
			now.bytes, now.order = d.buf[start:end], len(s.runs)
			s.runs = append(s.runs, now)
		}
	}
	for ; count > 0; count-- {
		at := d.at
		b.decode(d)
		if d.err != nil {
			return
		}
		b.clock += b.length
		if b.kind() == kindSkip {
			leave(at)
			now = run{id: b.id}
			start = d.at
		} else {
			now.count++
		}
		now.end = b.clock
	}
	leave(d.at)
}

// deleted reads the delete set. Its ranges count with the structs, of which there were so many.
func (s *scan) deleted(d *decoder, limit, structs int) {
	for clients := d.uint(); clients > 0 && d.err == nil; clients-- {
		client, ranges := d.uint(), d.uint()
		if ranges > uint64(limit-structs) {
			d.failLimit("The update has too many structs and deleted ranges.", limit)
			return
		}
		structs += int(ranges)
		for ; ranges > 0 && d.err == nil; ranges-- {
			clock, length := d.uint(), d.uint()
			if length > maxInt-clock {
				d.fail("A clock is 2^53 or larger.")
			}
			if length > 0 && d.err == nil {
				s.deletes = append(s.deletes, stretch{client, span{clock, clock + length}})
			}
		}
	}
}

// walker goes over the structs of a run.
type walker struct {
	block
	d    decoder
	left int // structs not yet decoded
}

func (w *walker) begin(r *run) {
	w.id, w.length, w.left = r.id, 0, r.count
	w.d.buf, w.d.at = r.bytes, 0
}

// next goes to the next struct, at first to the first; false at the end.
func (w *walker) next() bool {
	if w.left == 0 {
		return false
	}
	w.left--
	w.clock += w.length
	w.decode(&w.d)
	return true
}
