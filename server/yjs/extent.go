package yjs

// Extent is which units an update has and which it deletes, without any content: some bytes for each session that
// edited and for each gap between deletions. It answers what a state lacks without reading the state again.
// It may be read concurrently, but not during Add. The zero Extent is that of an empty document.
type Extent struct {
	known   ranges
	deleted ranges
}

// ExtentOf reads updates.
func ExtentOf(updates ...[]byte) (*Extent, error) {
	e := new(Extent)
	if err := e.Add(updates...); err != nil {
		return nil, err
	}
	return e, nil
}

// Add adds what updates have. If one is refused, nothing changes.
func (e *Extent) Add(updates ...[]byte) error {
	s, err := scanAll(updates)
	if err != nil {
		return err
	}
	if e.known == nil {
		e.known, e.deleted = ranges{}, ranges{}
	}
	units := make([]stretch, len(s.runs))
	for i, r := range s.runs {
		units[i] = stretch{r.client, span{r.clock, r.end}}
	}
	e.known.add(units)
	e.deleted.add(append(s.deletes, s.buried()...))
	return nil
}

// Vector gives the state vector.
func (e *Extent) Vector() Vector {
	v := make(Vector, len(e.known))
	for client, known := range e.known {
		if known[0].start == 0 {
			v[client] = known[0].end
		}
	}
	return v
}

// Missing gives what a state of this extent lacks of an update, units and deletions, and nothing more; nil if it
// lacks nothing. What an update only shows as gone, without saying that it is deleted, deletes nothing that the
// state has: Yjs ignores units that it knows.
func (e *Extent) Missing(update []byte) ([]byte, error) {
	s, err := scanAll([][]byte{update})
	if err != nil {
		return nil, err
	}
	w := s.merge(e.known)
	deletes := e.undeleted(tidy(s.deletes))
	if w.clients == 0 && len(deletes) == 0 {
		return nil, nil
	}
	return w.finish(deletes), nil
}

// undeleted gives what is not deleted yet of tidy deletions.
func (e *Extent) undeleted(all []stretch) (missing []stretch) {
	for len(all) > 0 {
		var client uint64
		var first []stretch
		client, first, all = ofClient(all)
		deleted := e.deleted[client]
		for _, x := range first {
			for from := x.start; from < x.end; {
				to := x.end
				if deleted = deleted.from(from); len(deleted) > 0 && deleted[0].start < to {
					if to = deleted[0].start; to <= from {
						from = deleted[0].end
						continue
					}
				}
				missing = append(missing, stretch{client, span{from, to}})
				from = to
			}
		}
	}
	return missing
}

// buried gives the units of which the structs themselves say that they are deleted.
func (s *scan) buried() (all []stretch) {
	var w walker
	for i := range s.runs {
		for w.begin(&s.runs[i]); w.next(); {
			if kind := w.kind(); kind == kindGC || kind == kindDeleted {
				all = append(all, stretch{w.client, span{w.clock, w.end()}})
			}
		}
	}
	return all
}
