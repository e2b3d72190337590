package docs

import (
	"context"
	"slices"

	"roomlog/server/room"
	"roomlog/server/yjs"
)

// Compact merges the updates of a room that are not compacted yet into its documents, in steps. Others may write meanwhile, and other nodes do the
// same: what was merged is put in place only where nobody else has done so, and is whole or not there at all.
// Errors are those of the store.
func (d *Docs) Compact(ctx context.Context, id room.ID) error {
	free, err := d.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	for {
		more, err := d.compactStep(ctx, id)
		if err != nil {
			d.failures.Add(1)
		}
		if err != nil || !more {
			return err
		}
	}
}

func (d *Docs) compactStep(ctx context.Context, id room.ID) (more bool, err error) {
	got, err := d.cfg.Store.Docs(ctx, room.DocQuery{Room: id, Limit: d.cfg.StepUpdates, Bytes: d.cfg.StepBytes})
	if err != nil || len(got.Updates) == 0 {
		return false, err
	}
	changed := make(map[string]*reading)
	changes := make([]*room.DocChange, len(got.Updates))
	var names []string
	for i := range got.Updates {
		change := updateOf(&got.Updates[i])
		if changes[i] = change; change != nil && changed[change.Name] == nil {
			changed[change.Name] = newReading(change.Name)
			names = append(names, change.Name)
		}
	}
	was, err := d.cfg.Store.Docs(ctx, room.DocQuery{Room: id, Names: names, After: got.Head.Seq, Limit: 1})
	if err != nil || was.Head.Epoch != got.Head.Epoch || was.Through != got.Through {
		return false, err // somebody else has just done it
	}
	for _, doc := range was.Docs {
		if r := changed[doc.Name]; r != nil {
			r.parts = append(r.parts, doc.State)
			r.doc, r.doc.State = doc, nil
		}
	}
	docs := make([]room.Doc, 0, len(names))
	for i, change := range changes {
		if change != nil {
			changed[change.Name].take(&got.Updates[i], change.Update)
		}
	}
	for _, name := range names {
		r := changed[name]
		merged, err := yjs.Merge(mutateParts(r.parts)...) // mutant pending_lost
		if err == nil {
			merged, err = yjs.Compact(merged)
		}
		if err != nil {
			return false, err
		}
		r.doc.State, r.doc.Stored = merged, len(merged)
		docs = append(docs, r.doc)
	}
	to := got.Updates[len(got.Updates)-1].Seq
	kept, err := d.cfg.Store.KeepDocs(ctx, id, got.Head.Epoch, got.Through, to, docs)
	if err == nil && kept {
		d.compactions.Add(1)
		d.note(docs)
	}
	return kept && got.More, err
}

// note counts for the alarm.
func (d *Docs) note(docs []room.Doc) {
	if len(docs) == 0 {
		return
	}
	size := int64(slices.MaxFunc(docs, func(a, b room.Doc) int { return a.Stored - b.Stored }).Stored)
	if size >= d.cfg.Alarm {
		d.large.Add(1)
	}
	for was := d.largest.Load(); size > was && !d.largest.CompareAndSwap(was, size); was = d.largest.Load() {
	}
}
