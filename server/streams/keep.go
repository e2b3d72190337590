package streams

import (
	"context"
	"time"

	"roomlog/server/room"
)

// piece is what of a text is to be kept.
type piece struct {
	text *text
	room.Piece
}

// keep keeps what is not kept, at most so often.
func (d *Desk) keep() {
	for {
		select {
		case <-d.keeps:
		case <-d.ctx.Done():
			return
		}
		for {
			batch := d.unkept(nil)
			if len(batch) == 0 {
				break
			}
			if err := d.commit(d.ctx, batch); err != nil && d.ctx.Err() == nil {
				d.cfg.Log.Warn("the texts of streams are not kept yet", "streams", len(batch), "error", err)
			}
			if !d.pause(d.cfg.KeepEvery) {
				return
			}
		}
	}
}

// unkept are the next pieces to be kept; of only one text, where it is given.
func (d *Desk) unkept(only *text) (batch []piece) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.texts {
		if only != nil && t != only || !t.producing() || t.over || !t.renew && t.settled() {
			continue
		}
		t.renew = false
		batch = append(batch, piece{t, room.Piece{Room: t.room, Seq: t.seq, From: t.kept, Text: t.have[t.kept:]}})
		if len(batch) == batchMost {
			break
		}
	}
	return batch
}

// commit keeps pieces, and lets go of texts that are over or that another node has got ahead with.
func (d *Desk) commit(ctx context.Context, batch []piece) error {
	d.keeping.Lock()
	defer d.keeping.Unlock()
	pieces := make([]room.Piece, 0, len(batch))
	d.mu.Lock()
	for i := range batch { // as they are by now: another commit may have come between
		p := &batch[i]
		if p.text.producing() { // else another node has said what there is beyond
			p.From, p.Text = p.text.kept, p.text.have[p.text.kept:]
		}
		pieces = append(pieces, p.Piece)
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	kept, err := d.cfg.Store.KeepStreams(ctx, pieces, d.cfg.Lease)
	var ended, behind []*text
	d.mu.Lock()
	if err != nil {
		d.counts.Failures++
	}
	for i, p := range batch {
		t := p.text
		switch {
		case err != nil:
			t.renew = true
		case kept[i].Found && t.kept != p.From: // it was read anew meanwhile, since another node had got ahead: this is of before
			t.renew = true
		case kept[i].Done:
			t.kept = kept[i].Bytes
			d.counts.Kept++
		case !kept[i].Found:
			d.counts.Behind++
			d.forget(t)
			ended = append(ended, t)
		case kept[i].Over: // readers keep what they have until its end is stored
			d.counts.Behind++
			t.taken = time.Time{}
		default: // another node keeps it, or this one did and was not answered
			d.counts.Behind++
			t.taken = time.Time{}
			behind = append(behind, t)
		}
	}
	for _, t := range behind {
		d.loads[t.room] = true
		wake(d.loaded)
	}
	d.mu.Unlock()
	for _, t := range ended {
		d.hub.EndPart(t.room, t.seq)
	}
	return err
}
