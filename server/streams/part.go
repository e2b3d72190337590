package streams

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"roomlog/server/room"
)

// Part is text that follows in a message that streams.
type Part struct {
	Room   room.ID
	Seq    room.Seq
	Author string
	Offset int    // bytes of what parts brought before
	Text   string // may be empty: then only the lease is renewed
	Most   int    // bytes that the data of the message may have in all
}

// Progress is how far a stream has come.
type Progress struct {
	Offset int // bytes of what parts brought
	Kept   int // of them, on durable storage
}

// edge is what the end of a message adds to its data: what says that it was aborted, and how it is wrapped as an edit.
const edge = 128

// Begin says that a message is about to be stored that streams.
func (d *Desk) Begin(ctx context.Context, s room.Stream) error {
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return goingAway()
	}
	return d.cfg.Store.BeginStream(ctx, s, max(beginLease, d.cfg.Lease))
}

// Cancel says that it was not stored.
func (d *Desk) Cancel(ctx context.Context, s room.Stream) error {
	return d.cfg.Store.EndStream(ctx, s.Room, s.Author, s.Tag)
}

// Open opens the stream of a message that is stored. Of one that has ended nothing is opened, and it is no error.
func (d *Desk) Open(ctx context.Context, s room.Stream) error {
	bound, found, err := d.cfg.Store.BindStream(ctx, s.Room, s.Author, s.Tag, d.cfg.Lease)
	if err != nil || !found {
		return err
	}
	d.mu.Lock()
	d.adopt(bound)
	d.mu.Unlock()
	return nil
}

// adopt takes up a stream as the store has it: this node takes its parts from now on. The caller holds the lock.
func (d *Desk) adopt(s room.Stream) *text {
	t := d.know(key{s.Room, s.Seq})
	if !strings.HasPrefix(t.have, s.Text) { // else hints have said more
		d.put(t, s.Text)
	}
	t.size, t.kept, t.taken, t.over = room.TextSize(t.have), len(s.Text), time.Now(), s.Over
	s.Text = ""
	t.stream, t.sure = s, true
	return t
}

// open is the text of a stream of an author, of which this node takes the parts from now on, read from the store where it did not yet: then
// it is fresh. For nobody else it takes any: what it hears of it from others would count for nothing then.
func (d *Desk) open(ctx context.Context, id room.ID, seq room.Seq, author string) (t *text, fresh bool, err error) {
	d.mu.Lock()
	t, closed := d.texts[key{id, seq}], d.closed
	known := t != nil && t.producing()
	is := known && t.stream.Author == author
	d.mu.Unlock()
	switch {
	case closed:
		return nil, false, goingAway()
	case is:
		return t, false, nil
	case known:
		return nil, false, notYours()
	}
	t, _, err = d.read(ctx, id, seq, author)
	return t, true, err
}

// read brings the text of a stream up to what the store has, and says how much that is.
func (d *Desk) read(ctx context.Context, id room.ID, seq room.Seq, author string) (t *text, kept int, err error) {
	list, err := d.cfg.Store.FindStreams(ctx, []room.ID{id}, seq)
	switch {
	case err != nil:
		return nil, 0, err
	case len(list) == 0:
		return nil, 0, noStream()
	case list[0].Author != author:
		return nil, 0, notYours()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.adopt(list[0]), len(list[0].Text), nil
}

// Take takes a part (rule PART-2). Errors: `unknown_target`, `forbidden`, `bad_position` with the offset that is had,
// `message_too_large`, `overloaded`, those of the store.
func (d *Desk) Take(ctx context.Context, p Part) (Progress, error) {
	t, fresh, err := d.open(ctx, p.Room, p.Seq, p.Author)
	if err != nil {
		return Progress{}, err
	}
	d.mu.Lock()
	progress, err := d.take(t, p)
	d.mu.Unlock()
	if !fresh && err != nil && room.AsError(err).Code == room.CodeBadPosition { // another node may have got ahead, and kept it
		if t, _, err = d.read(ctx, p.Room, p.Seq, p.Author); err == nil {
			d.mu.Lock()
			progress, err = d.take(t, p)
			d.mu.Unlock()
		}
	}
	if err != nil {
		return Progress{}, err
	}
	wake(d.keeps)
	wake(d.says)
	d.show(t)
	return progress, nil
}

func (d *Desk) take(t *text, p Part) (Progress, error) {
	have := len(t.have)
	if mutateOffset() {
		p.Offset = min(p.Offset, have)
	}
	switch {
	case t.over:
		return Progress{}, noStream()
	case p.Offset < 0 || p.Offset > have || p.Offset+len(p.Text) > have && !utf8.RuneStart((p.Text + " ")[have-p.Offset]):
		return Progress{}, goOnFrom(have)
	}
	if fresh := p.Text[min(len(p.Text), have-p.Offset):]; fresh != "" {
		size := t.size + room.TextSize(fresh)
		if t.stream.Base+size+edge > p.Most {
			return Progress{}, &room.Error{Code: room.CodeMessageTooLarge, Title: "The message would be larger than a message may be; finish it.", Field: "text", Limit: int64(p.Most)}
		}
		if d.bytes+len(fresh) > d.cfg.MaxText {
			return Progress{}, &room.Error{Code: room.CodeOverloaded, RetryAfter: time.Second, Title: "More messages stream than the server takes; try again."}
		}
		d.put(t, t.have+fresh)
		t.size = size
	}
	t.taken, t.renew = time.Now(), true
	d.counts.Parts++
	return Progress{Offset: len(t.have), Kept: t.kept}, nil
}

// goOnFrom says that a part, or an end, does not follow what there is of the text.
func goOnFrom(have int) *room.Error {
	return &room.Error{Code: room.CodeBadPosition, Title: "The part does not follow what there is of the text; go on from the offset in limit.", Field: "offset", Limit: int64(have)}
}

func notYours() *room.Error {
	return &room.Error{Code: room.CodeForbidden, Title: "Only its author says how a message goes on that streams.", Field: "seq"}
}
