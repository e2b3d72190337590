package docs

import (
	"context"

	"roomlog/server/room"
	"roomlog/server/yjs"
)

// known is what a document has, as of head.
type known struct {
	name string

	turn    chan struct{} // holds at most one: those who ask about one document take turns, over reads of the store; it guards what follows
	extent  *yjs.Extent   // nil: nothing was read
	id      string        // of the document; empty: there is none
	head    room.Head
	size    int // bytes of the document: compacted, and of updates since
	others  int // of a document that does not exist: how many the room has
	pending int // updates of the room that are not compacted, as far as was seen, and their bytes
	bytes   int
}

// entry is what is known of a document. Where too much is, something else is forgotten: it is read again when it is needed.
func (d *Docs) entry(at key) *known {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.known[at]
	if k == nil {
		for other := range d.known {
			if len(d.known) < d.cfg.Remembered {
				break
			}
			delete(d.known, other)
		}
		k = &known{name: at.name, turn: make(chan struct{}, 1)}
		d.known[at] = k
	}
	return k
}

// look waits for the turn to ask about a document, and reads what it has; leave ends the turn.
func (d *Docs) look(ctx context.Context, id room.ID, name string) (k *known, leave func(), err error) {
	k = d.entry(key{id, name})
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if err := d.refresh(ctx, id, k); err != nil {
		<-k.turn
		return nil, nil, err
	}
	return k, func() { <-k.turn }, nil
}

// refresh reads what came to a document since k, whose turn the caller has; all of it, where the room is another, went back or was compacted further.
func (d *Docs) refresh(ctx context.Context, id room.ID, k *known) error {
	if k.extent != nil && k.others == 0 && k.head.Seq > 0 {
		got, err := d.cfg.Store.Docs(ctx, room.DocQuery{Room: id, After: k.head.Seq, Limit: d.cfg.StepUpdates, Bytes: d.cfg.StepBytes})
		if err != nil {
			return err
		}
		same := got.Head.Epoch == k.head.Epoch && got.Head.Seq >= k.head.Seq && got.Mark == k.head.Mark && got.Through <= k.head.Seq
		if !got.More && (same || mutateRemembered()) { // mutant memory_trusted
			return k.take(got)
		}
	}
	k.extent = nil
	free, err := d.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	got, err := d.read(ctx, id, k.name)
	if err != nil {
		return err
	}
	extent, err := yjs.ExtentOf(got.parts...)
	if err != nil {
		return err
	}
	k.extent, k.head, k.pending, k.bytes, k.size, k.others = extent, got.head, got.pending, got.bytes, 0, 0
	k.id = got.doc.ID
	for _, part := range got.parts {
		k.size += len(part)
	}
	if k.id == "" {
		k.others = len(got.names)
	}
	return nil
}

// take adds what came since.
func (k *known) take(got room.Docs) error {
	for i := range got.Updates {
		e := &got.Updates[i]
		k.pending, k.bytes = k.pending+1, k.bytes+len(e.Data)
		change := updateOf(e)
		if change == nil || change.Name != k.name {
			continue
		}
		if err := k.extent.Add(change.Update); err != nil {
			k.extent = nil
			return err
		}
		if k.id == "" {
			k.id = room.DocID(e.Seq, e.Mark)
		}
		k.size += len(change.Update)
	}
	k.head = got.Head
	return nil
}

// reading is a document as the store has it.
type reading struct {
	doc     room.Doc // but for State; ID is "" where there is none
	head    room.Head
	parts   [][]byte // updates that make it
	names   map[string]bool
	pending int // events of the room that are not compacted, and their bytes
	bytes   int
}

// read reads a document: what was compacted and the updates behind.
func (d *Docs) read(ctx context.Context, id room.ID, name string) (*reading, error) {
	r := newReading(name)
	q := room.DocQuery{Room: id, Names: []string{name}, Limit: d.cfg.StepUpdates, Bytes: d.cfg.StepBytes}
	for {
		got, err := d.cfg.Store.Docs(ctx, q)
		if err != nil {
			return nil, err
		}
		if q.After > 0 && (got.Head.Epoch != r.head.Epoch || got.Through > q.After) { // it began anew, or was compacted meanwhile
			r, q.After, q.Names = newReading(name), 0, []string{name}
			continue
		}
		if q.After == 0 {
			for _, was := range got.Docs {
				r.names[was.Name] = true
				if was.Name == name {
					r.parts = append(r.parts, was.State)
					r.doc, r.doc.State = was, nil
				}
			}
		}
		r.head = got.Head
		for i := range got.Updates {
			e := &got.Updates[i]
			r.pending, r.bytes = r.pending+1, r.bytes+len(e.Data)
			if change := updateOf(e); change != nil {
				r.names[change.Name] = true
				if change.Name == name {
					r.take(e, change.Update)
				}
			}
		}
		if !got.More {
			return r, nil
		}
		q.Names, q.After = nil, got.Updates[len(got.Updates)-1].Seq
	}
}

func newReading(name string) *reading {
	return &reading{doc: room.Doc{Name: name}, names: make(map[string]bool)}
}

// updateOf is what an event does to a document; nil: nothing. An app may have stored some of this type before there were documents.
func updateOf(e *room.Event) *room.DocChange {
	if change := e.DocOf(); change != nil && judge(change.Update) == nil {
		return change
	}
	return nil
}

// take takes an event that changes the document.
func (r *reading) take(e *room.Event, update []byte) {
	if r.doc.ID == "" {
		r.doc.ID = room.DocID(e.Seq, e.Mark)
	}
	r.doc.Seq, r.doc.Mark = e.Seq, e.Mark
	r.parts = append(r.parts, update)
}
