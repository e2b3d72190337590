package room

// Run is events of the log layer that follow each other (see [Event.InLog]): [First, Last].
type Run struct{ First, Last Seq }

// Walk is what a page holds that lists the log layer alone: the events of Runs, which are in order, and (Prev, End] in all.
type Walk struct {
	Prev, End Seq
	Runs      []Run
}

// Walk is the arithmetic of a query that passes over other layers, as [Query.Span] is that of others. runs gives those of a room that reach
// behind at, in order, or with down those that begin at or before it, the last first: n, or all there are.
func (q Query) Walk(floor, head Seq, runs func(at Seq, down bool, n int) ([]Run, error)) (Walk, error) {
	bottom := max(floor, min(q.Bottom, head+1)) - 1
	up := func(at Seq, n int) ([]Run, bool, error) {
		got, err := runs(at, false, n+1)
		got, more := trim(got, at, head, n, false)
		return got, more, err
	}
	down := func(at Seq, n int) ([]Run, bool, error) {
		got, err := runs(at, true, n+1)
		got, more := trim(got, bottom, at, n, true)
		return got, more, err
	}
	at := min(max(q.Seq, bottom), head)
	if q.Limit == 0 {
		if q.Anchor == Latest {
			at = head
		}
		return Walk{Prev: at, End: head}, nil
	}
	switch q.Anchor {
	case After:
		got, more, err := up(at, q.Limit)
		w := Walk{Prev: at, End: head, Runs: got}
		if more {
			w.End = got[len(got)-1].Last
		}
		return w, err
	case Around:
		low, _, err := down(min(max(q.Seq-1, bottom), head), q.Limit/2)
		if err != nil {
			return Walk{}, err
		}
		high, more, err := up(min(max(q.Seq-1, bottom), head), q.Limit-count(low))
		if err != nil {
			return Walk{}, err
		}
		w := Walk{End: head}
		if more {
			w.End = high[len(high)-1].Last
		}
		low, _, err = down(w.End, q.Limit)
		w.Runs, w.Prev = low, begins(low, q.Limit, bottom)
		return w, err
	case Before:
		at = min(max(q.Seq-1, bottom), head)
	default:
		at = head
	}
	got, _, err := down(at, q.Limit)
	return Walk{Prev: begins(got, q.Limit, bottom), End: at, Runs: got}, err
}

// begins is where a page of the latest events begins: before the first, or where it has all there are, at the bottom.
func begins(runs []Run, limit int, bottom Seq) Seq {
	if count(runs) < limit {
		return bottom
	}
	return runs[0].First - 1
}

func count(runs []Run) int {
	n := Seq(0)
	for _, r := range runs {
		n += r.Last - r.First + 1
	}
	return int(n)
}

// trim cuts runs to what lies in (low, high], and to n events: the first, or with down the last, and puts them in order. more: some were left out.
func trim(runs []Run, low, high Seq, n int, down bool) (_ []Run, more bool) {
	var out []Run
	left := Seq(n)
	for _, r := range runs {
		r.First, r.Last = max(r.First, low+1), min(r.Last, high)
		if r.Last < r.First {
			continue
		}
		if left == 0 {
			more = true
			break
		}
		if size := r.Last - r.First + 1; size > left {
			more = true
			if down {
				r.First = r.Last - left + 1
			} else {
				r.Last = r.First + left - 1
			}
		}
		left -= r.Last - r.First + 1
		out = append(out, r)
	}
	if down {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out, more
}
