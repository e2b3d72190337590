// Package docs keeps the documents of rooms: it says what of an update a document lacks, so that nothing else is stored, reads documents, and
// compacts them. A document is what was compacted and the events of the type doc behind it (room.Docs); which units it has is remembered
// for a while, its content never.
//
// Nothing here decides about order: updates may be merged in any, and twice. So an update is judged before its append and not under the
// lock of the room, and what two nodes take at once may overlap, which costs bytes alone. Which document an update is of is judged under that lock.
package docs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
	"roomlog/server/yjs"
)

// Config is what a keeper of documents needs. Zero values of all but Store mean the defaults.
type Config struct {
	Store room.DocStore // required

	CompactAt    int           // updates of a room that are not compacted, from which on they are; default 500
	CompactBytes int           // the same of their bytes; default 1 MiB
	StepUpdates  int           // that are compacted in one transaction, at most; default 5,000
	StepBytes    int           // the same of their bytes, but for one; default 32 MiB
	AtOnce       int           // documents that are read whole or compacted at a time, each of which is in memory some times over; default 4
	Within       time.Duration // after which an update or a read is given up as `unavailable`; default 10 s
	Remembered   int           // documents of which it is remembered what they have; default 1,000
	Alarm        int64         // bytes of a document from which on Stats counts it as large; default 8 MiB
}

func (c *Config) withDefaults() {
	or(&c.CompactAt, 500)
	or(&c.CompactBytes, 1<<20)
	or(&c.StepUpdates, 5000)
	or(&c.StepBytes, 32<<20)
	or(&c.AtOnce, 4)
	or(&c.Within, 10*time.Second)
	or(&c.Remembered, 1000)
	or(&c.Alarm, 8<<20)
}

func or[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Docs keeps the documents of all rooms of a store. It may be used concurrently, and has no goroutines of its own.
type Docs struct {
	cfg Config

	slots chan struct{}

	mu    sync.Mutex
	known map[key]*known

	updates, nothing, compactions, failures, large, largest atomic.Int64
}

type key struct {
	room room.ID
	name string
}

// New makes a keeper of documents.
func New(cfg Config) *Docs {
	cfg.withDefaults()
	return &Docs{cfg: cfg, slots: make(chan struct{}, cfg.AtOnce), known: make(map[key]*known)}
}

// slot waits for a place among those that hold whole documents; free gives it back.
func (d *Docs) slot(ctx context.Context) (free func(), err error) {
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stats is for operators; but for Largest, the counters run since the start.
type Stats struct {
	Updates     int64 // that had something to store
	Nothing     int64 // that had nothing that their document lacked
	Compactions int64
	Failures    int64 // of compactions; each is tried again
	Large       int64 // compactions of documents above Config.Alarm
	Largest     int64 // bytes of the largest document that was compacted
}

// Stats describes the keeper.
func (d *Docs) Stats() Stats {
	return Stats{
		Updates: d.updates.Load(), Nothing: d.nothing.Load(), Compactions: d.compactions.Load(), Failures: d.failures.Load(),
		Large: d.large.Load(), Largest: d.largest.Load(),
	}
}

// Trim gives a send of the type doc as it is to be stored, with what its document lacks and nothing else. Where that is nothing, Known is set.
// What it lacks is so of the document that there is now: the send says which that is, for the store to judge it once more (room.DocChange.ID).
// Errors: `bad_update`, `doc_replaced`, `limit_exceeded` (field bytes or count), `unavailable`.
func (d *Docs) Trim(ctx context.Context, send room.Send, policy room.DocPolicy) (room.Send, *room.Error) {
	change := send.Doc
	if err := judge(change.Update); err != nil {
		return send, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Within)
	defer cancel()
	k, leave, err := d.look(ctx, send.Room, change.Name)
	if err != nil {
		return send, unavailable(err)
	}
	defer leave()
	if change.Named && change.ID != k.id {
		return send, change.Replaced()
	}
	if k.pending >= d.cfg.CompactAt || k.bytes >= d.cfg.CompactBytes {
		k.pending, k.bytes = 0, 0
		_ = d.Compact(ctx, send.Room) // a failure is counted; the update is taken all the same
	}
	of := k.id // of the document that missing is about, also where it is read anew below
	mostBytes, mostDocs := policy.Bounds()
	if k.others >= mostDocs {
		return send, &room.Error{Code: room.CodeLimitExceeded, Title: "The room has as many documents as it may.", Field: "count", Limit: int64(mostDocs)}
	}
	missing, err := k.extent.Missing(change.Update)
	if err != nil {
		return send, badUpdate(err)
	}
	missing = mutateMissing(missing) // mutant deletes_known
	if missing == nil {
		d.nothing.Add(1)
		send.Known = &room.Known{Epoch: k.head.Epoch, Seq: k.head.Seq, Mark: k.head.Mark, At: time.Now().UTC().Truncate(time.Microsecond)}
		return send, nil
	}
	if k.size+len(missing) > mostBytes {
		if d.Compact(ctx, send.Room) == nil { // what was deleted since may make room
			k.extent = nil
			if err := d.refresh(ctx, send.Room, k); err != nil {
				return send, unavailable(err)
			}
		}
		if k.size+len(missing) > mostBytes {
			return send, &room.Error{Code: room.CodeLimitExceeded, Title: "The document is as large as it may be.", Field: "bytes", Limit: int64(mostBytes)}
		}
	}
	d.updates.Add(1)
	send.Doc = &room.DocChange{Name: change.Name, Update: change.Update, ID: of, Named: change.Named}
	if len(missing) < len(change.Update) { // else it is stored as it was sent, which is as good
		send.Sent = send.AsSent()
		send.Doc.Update = missing
		send.Data = send.Doc.Data()
	}
	return send, nil
}

// Has reports whether a document has all of an update. Errors: `bad_update`, `unavailable`.
func (d *Docs) Has(ctx context.Context, id room.ID, name string, update []byte) (bool, *room.Error) {
	if err := judge(update); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Within)
	defer cancel()
	k, leave, err := d.look(ctx, id, name)
	if err != nil {
		return false, unavailable(err)
	}
	defer leave()
	missing, err := k.extent.Missing(update)
	if err != nil {
		return false, badUpdate(err)
	}
	return missing == nil, nil
}

// ID is which document there is of a name (empty: none), and what the room was then. Errors: `unavailable`.
func (d *Docs) ID(ctx context.Context, id room.ID, name string) (string, room.Head, *room.Error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Within)
	defer cancel()
	k, leave, err := d.look(ctx, id, name)
	if err != nil {
		return "", room.Head{}, unavailable(err)
	}
	defer leave()
	return k.id, k.head, nil
}

// Doc is a document as it is read.
type Doc struct {
	room.Doc           // State is what the reader lacks; ID is "" where there is no document
	Head     room.Head // the state of the document is as of this
	Vector   []byte    // its state vector, encoded
}

// Read gives what a reader of a state vector (encoded; nil: that of an empty document) lacks of a document.
// Errors: `bad_request` (field sv), `unavailable`.
func (d *Docs) Read(ctx context.Context, id room.ID, name string, vector []byte) (Doc, *room.Error) {
	var reader yjs.Vector
	if vector != nil {
		var err error
		if reader, err = yjs.DecodeVector(vector); err != nil {
			return Doc{}, &room.Error{Code: room.CodeBadRequest, Title: "This is no state vector of Yjs.", Field: "sv", Cause: err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Within)
	defer cancel()
	free, err := d.slot(ctx)
	if err != nil {
		return Doc{}, unavailable(err)
	}
	defer free()
	got, err := d.read(ctx, id, name)
	if err != nil {
		return Doc{}, unavailable(err)
	}
	state := []byte{0, 0} // the empty update
	if len(got.parts) == 1 {
		state = got.parts[0]
	} else if len(got.parts) > 1 {
		if state, err = yjs.Merge(got.parts...); err != nil {
			return Doc{}, unavailable(err)
		}
	}
	v, err := yjs.StateVector(state)
	if err == nil && len(reader) > 0 { // else all of it is lacking
		state, err = yjs.Diff(state, vector)
	}
	if err != nil {
		return Doc{}, unavailable(err)
	}
	got.doc.State = state
	return Doc{Doc: got.doc, Head: got.head, Vector: v.Encode()}, nil
}

// judge refuses what is no update.
func judge(update []byte) *room.Error {
	if err := yjs.Validate(update, yjs.Limits{Bytes: room.MaxDocUpdate}); err != nil {
		return badUpdate(err)
	}
	return nil
}

func badUpdate(err error) *room.Error {
	out := &room.Error{Code: room.CodeBadUpdate, Title: err.Error(), Field: "data/update"}
	if e := (*yjs.Error)(nil); errors.As(err, &e) {
		out.Limit = e.Limit
	}
	return out
}

func unavailable(err error) *room.Error {
	if e := (*room.Error)(nil); errors.As(err, &e) {
		return e
	}
	return &room.Error{Code: room.CodeUnavailable, Title: "The document cannot be read now; try again.", RetryAfter: time.Second, Cause: err}
}
