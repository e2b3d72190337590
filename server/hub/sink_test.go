package hub

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// frame is what a peer reads: the fields of every frame that the hub or these tests make.
type frame struct {
	Op       string            `json:"op"`
	Code     room.Code         `json:"code"`
	Room     room.ID           `json:"room"`
	Epoch    room.Epoch        `json:"epoch"`
	Reason   room.ResetReason  `json:"reason"`
	Floor    room.Seq          `json:"floor"`
	Head     room.Seq          `json:"head"`
	Prev     room.Seq          `json:"prev"`
	Seq      room.Seq          `json:"seq"`
	Position string            `json:"position"`
	Events   []json.RawMessage `json:"events"`
	Page     *frame            `json:"page"`
	Reset    *frame            `json:"reset"`
	ID       int64             `json:"id"`
	Rooms    []frame           `json:"rooms"` // of these tests' ready
	Full     bool              `json:"full"`  // of a side, as the next four
	Version  uint64            `json:"version"`
	Set      []sideValue       `json:"set"`
	Gone     []string          `json:"gone"`
	Users    int               `json:"users"`

	StreamID string `json:"-"`
	size     int    // bytes on the wire
}

// cut takes the first whole frame off buf; ok is false where there is none yet.
func cut(f wire.Framing, buf []byte) (fr frame, rest []byte, ok bool, err error) {
	if f == wire.EventStream {
		return cutEvent(buf)
	}
	if len(buf) < 2 {
		return frame{}, buf, false, nil
	}
	if buf[0] != 0x81 {
		return frame{}, nil, false, fmt.Errorf("not a text frame: % x", buf[:2])
	}
	head, size := 2, int(buf[1])
	switch size {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	if len(buf) < head {
		return frame{}, buf, false, nil
	}
	switch head {
	case 4:
		size = int(binary.BigEndian.Uint16(buf[2:]))
	case 10:
		size = int(binary.BigEndian.Uint64(buf[2:]))
	}
	if len(buf) < head+size {
		return frame{}, buf, false, nil
	}
	err = json.Unmarshal(buf[head:head+size], &fr)
	fr.size = head + size
	return fr, buf[head+size:], true, err
}

func cutEvent(buf []byte) (fr frame, rest []byte, ok bool, err error) {
	end := bytes.Index(buf, []byte("\n\n"))
	if end < 0 {
		return frame{}, buf, false, nil
	}
	for line := range bytes.Lines(buf[:end+1]) {
		line = line[:len(line)-1]
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "":
			fr.Op = "ping"
		case "id":
			fr.StreamID = string(value)
		case "event":
			fr.Op = string(value)
		case "data":
			if err := json.Unmarshal(value, &fr); err != nil {
				return frame{}, nil, false, fmt.Errorf("%w in %q", err, value)
			}
		default:
			return frame{}, nil, false, fmt.Errorf("line %q", line)
		}
	}
	fr.size = end + 2
	return fr, buf[end+2:], true, nil
}

var errCut = errors.New("cut")

// peer is the far end of a connection: a sink that takes as much as it is told to, and reads frames off
// what it took.
type peer struct {
	framing wire.Framing
	see     func(frame) error // called with mu held; nil: nobody looks

	mu     sync.Mutex
	cond   *sync.Cond
	space  int // bytes it takes before it is full; negative: any number
	buf    []byte
	failed error       // what is wrong with what it was sent
	broken error       // what every write answers
	closed *room.Error // why the hub ended it
	ended  bool
	frames int
	bytes  int
	events int // as counted in bytes by their tags
	writes int
	most   int // bytes of the largest write
	rest   int // bytes of the largest blocking write
}

func newPeer(f wire.Framing, see func(frame) error) *peer {
	p := &peer{framing: f, see: see, space: -1}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *peer) TryWrite(bufs [][]byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return 0, p.broken
	}
	p.writes++
	n, size := 0, 0
	for _, b := range bufs {
		size += len(b)
		take := len(b)
		if p.space >= 0 {
			take = min(take, p.space)
			p.space -= take
		}
		p.take(b[:take])
		n += take
	}
	p.most = max(p.most, size)
	return n, nil
}

func (p *peer) WriteAll(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = max(p.rest, len(b))
	for len(b) > 0 {
		for p.space == 0 && p.broken == nil && !p.ended {
			p.cond.Wait()
		}
		if p.broken != nil {
			return p.broken
		}
		if p.ended {
			return errCut
		}
		take := len(b)
		if p.space > 0 {
			take = min(take, p.space)
			p.space -= take
		}
		p.take(b[:take])
		b = b[take:]
	}
	return nil
}

func (p *peer) take(b []byte) {
	p.bytes += len(b)
	p.events += bytes.Count(b, []byte(`"tag":"`))
	if p.see == nil || p.failed != nil {
		p.cond.Broadcast()
		return
	}
	p.buf = append(p.buf, b...)
	for {
		fr, rest, ok, err := cut(p.framing, p.buf)
		if err == nil && ok {
			p.frames++
			err = p.see(fr)
		}
		if err != nil {
			p.failed = err
		}
		if err != nil || !ok {
			break
		}
		p.buf = rest
	}
	p.cond.Broadcast()
}

func (p *peer) Close(why *room.Error) {
	go func() { // the hub may hold locks that a look at the peer holds up
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.ended {
			p.ended, p.closed = true, why
		}
		p.cond.Broadcast()
	}()
}

// end reports whether the hub has ended the connection, and why.
func (p *peer) end() (bool, *room.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended, p.closed
}

// count is how many frames the peer has read.
func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frames
}

// give lets the peer take n bytes more; negative: any number.
func (p *peer) give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.space = n
	p.cond.Broadcast()
}

// cutOff makes every write fail, as when the network says that the peer is gone.
func (p *peer) cutOff() { p.breakOff(errCut) }

// timeOut makes every write fail as the transport does at its write deadline.
func (p *peer) timeOut() { p.breakOff(os.ErrDeadlineExceeded) }

func (p *peer) breakOff(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = why
	p.cond.Broadcast()
}

// patience is how long a test waits before it takes something for lost. What comes late is not what these tests look for.
const patience = time.Minute

// await waits until cond holds (with mu held). It looks whenever the peer is given something.
func (p *peer) await(what string, cond func() bool) error {
	over := false
	timer := time.AfterFunc(patience, func() {
		p.mu.Lock()
		over = true
		p.cond.Broadcast()
		p.mu.Unlock()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !cond() && !over && p.failed == nil {
		p.cond.Wait()
	}
	switch {
	case p.failed != nil:
		return fmt.Errorf("waiting for %s: %w", what, p.failed)
	case !cond():
		return fmt.Errorf("timed out waiting for %s", what)
	}
	return nil
}

// wait is await for the goroutine of the test.
func (p *peer) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if err := p.await(what, cond); err != nil {
		t.Fatal(err)
	}
}

// reader is what a careful client keeps: where it stands in each room. It checks that pages adjoin
// (PAGE-6) and that every event is the stored one at the time it comes (ROOM-7, ACK-1).
type reader struct {
	store  *model
	conn   *Conn
	peer   *peer
	resets []room.ResetReason

	// Guarded by the peer's lock.
	at     map[room.ID]room.Position // of joined rooms
	asked  map[int64]*Join
	next   int64
	events int
	order  []room.ID                 // of a stream
	forked bool                      // resets may come at any time
	pruned bool                      // resets may come to one who stands below the floor
	given  map[room.ID]room.Position // of a stream: where it was to begin, until that is answered
	sides  map[string]*sideCopy      // by name; see sideFrame
}

func newReader(t testing.TB, h *Hub, m *model, f wire.Framing) *reader {
	t.Helper()
	return attached(t, h, m, f, true)
}

// newCounter is a reader that looks at nothing: it counts what comes. That is chosen before the connection lives, since
// a ping may come at once.
func newCounter(t testing.TB, h *Hub, m *model, f wire.Framing) *reader {
	t.Helper()
	return attached(t, h, m, f, false)
}

func attached(t testing.TB, h *Hub, m *model, f wire.Framing, careful bool) *reader {
	t.Helper()
	r := &reader{store: m, at: make(map[room.ID]room.Position), asked: make(map[int64]*Join), given: make(map[room.ID]room.Position)}
	r.peer = newPeer(f, nil)
	if careful {
		r.peer.see = r.see
	}
	conn, err := h.Attach(r.peer, f)
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	r.conn = conn
	t.Cleanup(r.conn.Detach)
	return r
}

func (r *reader) see(f frame) error {
	switch f.Op {
	case "ping", "ack":
		return nil
	case "presence", "receipts", "signals":
		return r.sideFrame(f)
	case "joined":
		return r.joined(f)
	case "ready":
		return r.ready(f)
	case "reset":
		return r.reset(f)
	case "page":
		if _, ok := r.at[f.Room]; !ok {
			return fmt.Errorf("a page of %s, which has no cursor", f.Room)
		}
		if err := r.page(&f, f.Room, f.Epoch); err != nil {
			return err
		}
		return r.id(f)
	}
	return fmt.Errorf("unexpected frame %q", f.Op)
}

func (r *reader) joined(f frame) error {
	j := r.asked[f.ID]
	if j == nil {
		return fmt.Errorf("joined %d was not asked for", f.ID)
	}
	delete(r.asked, f.ID)
	if f.Reset != nil {
		r.resets = append(r.resets, f.Reset.Reason)
		if j.Replay < 0 && !r.forked && !r.below(j.Position, *f.Reset, f.Floor) {
			return fmt.Errorf("joined %s at %s: reset %s", j.Room, j.Position, f.Reset.Reason)
		}
	}
	if f.Reset == nil && j.HasPosition && f.Page.Prev != j.Position.Seq {
		return fmt.Errorf("joined %s at %s: page from %d", j.Room, j.Position, f.Page.Prev) // JOIN-4
	}
	r.at[f.Room] = room.Position{Epoch: f.Epoch, Seq: f.Page.Prev}
	return r.page(f.Page, f.Room, f.Epoch)
}

// ready is the beginning of a stream, as follow encodes it: the placed rooms.
func (r *reader) ready(f frame) error {
	for _, placed := range f.Rooms {
		p, err := room.ParsePosition(placed.Position)
		if err != nil {
			return err
		}
		r.at[placed.Room] = p
		if placed.Reason == "" {
			delete(r.given, placed.Room)
		}
	}
	return r.id(f)
}

func (r *reader) reset(f frame) error {
	r.resets = append(r.resets, f.Reason)
	at, begins := r.given[f.Room]
	if !begins {
		at = r.at[f.Room]
	}
	delete(r.given, f.Room)
	if !r.forked && !r.below(at, f, f.Floor) {
		return fmt.Errorf("reset %s of %s at %s, floor %d, head %d", f.Reason, f.Room, at, f.Floor, f.Head)
	}
	delete(r.at, f.Room)
	if r.peer.framing == wire.EventStream { // its id is the position before the latest page (SSE-7)
		ps, err := wire.ParseStreamID(f.StreamID, r.order)
		if err != nil {
			return err
		}
		r.at[f.Room] = ps[f.Room]
	}
	return nil
}

// below reports whether a reset is that of one who stands where events are gone (RET-2).
func (r *reader) below(at room.Position, reset frame, floor room.Seq) bool {
	return r.pruned && reset.Reason == room.ResetPruned && at.Seq < floor-1
}

func (r *reader) page(f *frame, id room.ID, epoch room.Epoch) error {
	at := r.at[id]
	if f.Prev != at.Seq || epoch != at.Epoch {
		return fmt.Errorf("%s: page (%s: %d, %d] does not adjoin %s", id, epoch, f.Prev, f.Seq, at)
	}
	if room.Seq(len(f.Events)) != f.Seq-f.Prev {
		return fmt.Errorf("%s: page (%d, %d] of %d events", id, f.Prev, f.Seq, len(f.Events)) // PAGE-2
	}
	for i, e := range f.Events {
		if want := r.store.event(id, f.Prev+room.Seq(i)+1); !r.forked && !bytes.Equal(e, want) {
			return fmt.Errorf("%s: event %d is %s, stored is %s", id, f.Prev+room.Seq(i)+1, e, want)
		}
	}
	p, err := room.ParsePosition(f.Position)
	if err != nil {
		return err
	}
	if want := r.store.at(id, f.Seq); !r.forked && p != want {
		return fmt.Errorf("%s: position %s, want %s", id, p, want) // POS-2
	}
	r.at[id] = p
	r.events += len(f.Events)
	return nil
}

// id checks that a stream's id names where it stands in every room (SSE-4).
func (r *reader) id(f frame) error {
	if r.peer.framing != wire.EventStream {
		return nil
	}
	ps, err := wire.ParseStreamID(f.StreamID, r.order)
	if err != nil {
		return fmt.Errorf("id %q: %w", f.StreamID, err)
	}
	for id, at := range r.at {
		if ps[id] != at {
			return fmt.Errorf("id %q after %s of %s, but it stands at %s", f.StreamID, f.Op, f.Room, at)
		}
	}
	return nil
}

// join joins as the transport does.
func (r *reader) join(t testing.TB, j Join) error {
	r.peer.mu.Lock()
	r.next++
	id := r.next
	r.asked[id] = &j
	r.peer.mu.Unlock()
	return r.conn.Join(t.Context(), j, func(out Joined) []byte {
		return wire.AppendText(nil, wire.Joined{
			Page: wire.Page{Room: j.Room, Epoch: out.Head.Epoch, Prev: out.Prev, Seq: out.Seq, Mark: out.Mark},
			ID:   id, HasID: true, Floor: out.Head.Floor, Head: out.Head.Seq, Reset: out.Reset, Events: out.Events,
		}.Append(nil))
	})
}

// leave leaves a room. Pages that were on their way may still come (JOIN-10).
func (r *reader) leave(id room.ID) { r.conn.Leave(id) }

// follow begins a stream as the transport does.
func (r *reader) follow(t testing.TB, joins []Join) error {
	r.peer.mu.Lock()
	for _, j := range joins {
		r.order = append(r.order, j.Room)
		if j.HasPosition {
			r.given[j.Room] = j.Position
		}
	}
	r.peer.mu.Unlock()
	return r.conn.Follow(t.Context(), joins, func(rooms []Followed) []byte {
		placed := []frame{}
		var at []wire.NamedPosition
		for _, f := range rooms {
			placed = append(placed, frame{Room: f.Head.Room, Position: f.Position.String(), Reason: f.Reset})
			at = append(at, wire.NamedPosition{Room: f.Head.Room, Position: f.Position})
		}
		id := wire.AppendStreamID(nil, at)
		data, err := json.Marshal(map[string]any{"rooms": placed})
		if err != nil {
			t.Error(err)
		}
		out := wire.AppendStreamReady(nil, id, data)
		for _, f := range rooms {
			if f.Reset != "" {
				frame := wire.Reset{Room: f.Head.Room, Reason: f.Reset, Epoch: f.Head.Epoch, Floor: f.Head.Floor, Head: f.Head.Seq}
				out = wire.EventStream.AppendReset(out, frame, id)
			}
		}
		return out
	})
}

// position is where the reader stands in a room, and whether it has a cursor there.
func (r *reader) position(id room.ID) (room.Position, bool) {
	r.peer.mu.Lock()
	defer r.peer.mu.Unlock()
	p, ok := r.at[id]
	return p, ok
}

// waitFor waits until the reader stands at a seq of a room.
func (r *reader) waitFor(t testing.TB, id room.ID, seq room.Seq) {
	t.Helper()
	r.peer.wait(t, fmt.Sprintf("%s at %d", id, seq), func() bool { return r.at[id].Seq >= seq })
}
