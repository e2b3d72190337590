package streams

import (
	"context"
	"fmt"
	"time"

	"roomlog/server/room"
)

// Close has a message take no more parts, so that how it ends can be stored: by [Ending], then [Desk.Ended]. It goes on instead where less than
// whole bytes of parts are kept, or judge, which is asked with what there is of the text, refuses. Errors: `unknown_target`, `forbidden`,
// `bad_position` with the offset that is kept, those of judge and of the store.
func (d *Desk) Close(ctx context.Context, id room.ID, seq room.Seq, author string, whole int, judge func(room.Stream) error) (room.Stream, error) {
	t, _, err := d.open(ctx, id, seq, author)
	if err != nil {
		return room.Stream{}, err
	}
	if batch := d.unkept(t); len(batch) > 0 {
		if err := d.commit(ctx, batch); err != nil {
			return room.Stream{}, err
		}
	}
	if whole > 0 { // what is kept never shrinks
		if _, kept, err := d.read(ctx, id, seq, author); err != nil {
			return room.Stream{}, err
		} else if kept < whole {
			return room.Stream{}, goOnFrom(kept)
		}
	}
	d.mu.Lock()
	s := t.stream
	s.Text = t.have
	d.mu.Unlock()
	if err := judge(s); err != nil {
		return room.Stream{}, err
	}
	closed, found, err := d.cfg.Store.CloseStream(ctx, id, seq, d.cfg.Lease)
	if err != nil {
		return closed, err
	}
	d.mu.Lock()
	t.over = true
	d.mu.Unlock()
	if !found {
		d.gone(id, seq)
		return closed, noStream()
	}
	return closed, nil
}

// Ending is the event by which a message ends that streams (rule PART-7): an edit of its author, whoever stores it. start is the data
// that it was stored with. The stream was closed.
func Ending(s room.Stream, start, final []byte, aborted bool) (room.Send, error) {
	data, err := room.EndText(start, final, s.Text, aborted)
	if err != nil {
		return room.Send{}, err
	}
	send := room.Send{Room: s.Room, Author: s.Author, Tag: s.Tag.End(), Type: room.TypeEdit}
	send.Data = fmt.Appendf(nil, `{"target":"%s","data":%s}`, s.Tag, data)
	if err := send.Mean(); err != nil {
		return send, err
	}
	send.Change.Own = true // whatever the kind lets its users edit: nothing is changed that they were told is whole
	return send, nil
}

// Ended forgets a stream, the end of which is stored, or of which the message is gone.
func (d *Desk) Ended(ctx context.Context, s room.Stream) error {
	err := d.cfg.Store.EndStream(ctx, s.Room, s.Author, s.Tag)
	d.gone(s.Room, s.Seq)
	return err // then its lease ends, and who stores its end again is told that it is stored
}

// gone lets go of a text here, and has other nodes do so.
func (d *Desk) gone(id room.ID, seq room.Seq) {
	d.mu.Lock()
	if t := d.texts[key{id, seq}]; t != nil {
		d.forget(t)
	}
	d.mu.Unlock()
	d.hub.EndPart(id, seq)
	d.hint(id, told{Seq: seq, Over: true})
}

// sweep ends messages whose producers say nothing any more, and lets go of texts that nobody here has to do with.
func (d *Desk) sweep() {
	for d.pause(d.cfg.SweepEvery) {
		d.drop()
		ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
		list, err := d.cfg.Store.OverdueStreams(ctx, batchMost, d.cfg.Lease)
		cancel()
		if err != nil {
			d.cfg.Log.Debug("leases of streams are not looked at", "error", err)
			continue
		}
		for _, s := range list {
			if err := d.abort(s); err != nil && d.ctx.Err() == nil {
				d.cfg.Log.Warn("a stream is not aborted yet", "room", s.Room, "seq", s.Seq, "error", err)
			}
		}
	}
}

// drop lets go of what no part came of for two leases: another node takes them, or they were aborted.
func (d *Desk) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.texts {
		switch {
		case !t.producing():
			if !d.rooms[t.room] {
				d.forget(t)
			}
		case time.Since(t.taken) < 2*d.cfg.Lease || !t.settled():
		case d.rooms[t.room]:
			t.taken = time.Time{}
			d.reload(t.room)
		default:
			d.forget(t)
		}
	}
}

// abort stores that a message has ended as it is, if that is not stored (rule PART-5). The stream was taken over.
func (d *Desk) abort(s room.Stream) error {
	ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
	defer cancel()
	if s.Seq == 0 {
		bound, found, err := d.cfg.Store.BindStream(ctx, s.Room, s.Author, s.Tag, d.cfg.Lease)
		if err != nil || !found {
			return err
		}
		s = bound
	}
	return d.Abort(ctx, s)
}

// Abort ends a message as it is. The stream was closed.
func (d *Desk) Abort(ctx context.Context, s room.Stream) error {
	e, err := d.hub.EventAt(ctx, s.Room, s.Seq)
	if err != nil {
		return err
	}
	if e == nil || e.Gone != nil || e.Tag != s.Tag || e.Author != s.Author { // pruned, deleted, or of another room of this name
		return d.Ended(ctx, s)
	}
	send, err := Ending(s, e.Data, nil, true)
	if err == nil {
		err = d.hub.Append(ctx, send)
	}
	if err != nil && room.AsError(err).Retryable() {
		return err
	}
	switch {
	case err == nil:
		d.mu.Lock()
		d.counts.Aborted++
		d.mu.Unlock()
	case room.AsError(err).Code != room.CodeTagConflict: // its producer was faster
		d.cfg.Log.Info("a stream could not be aborted", "room", s.Room, "seq", s.Seq, "error", err)
	}
	return d.Ended(ctx, s)
}
