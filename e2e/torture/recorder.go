package torture

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"roomlog/history"
)

// recorder writes the history of a run, and knows how far each follower has come.
type recorder struct {
	*history.Recorder

	mu    sync.Mutex
	seqs  map[*follower]int64
	moved chan struct{} // closed and replaced when a follower moves
	notes map[string]int
	wrong map[string]int // what no fault excuses
	words map[string]int // in which sends were refused

	expired int // connections that ended with their token
	wards   int // revocations that were answered, and lifted

	mayReset map[string]bool // the reasons for which a reset is due in this run; set before it begins
}

func newRecorder(file string) (*recorder, error) {
	r, err := history.Create(file)
	return &recorder{
		Recorder: r, seqs: make(map[*follower]int64), moved: make(chan struct{}),
		notes: make(map[string]int), wrong: make(map[string]int), words: make(map[string]int),
	}, err
}

// joins records that a follower resumes from where it stands, or begins.
func (r *recorder) joins(f *follower) {
	r.Add(history.Line{
		Op: history.OpJoin, Client: f.name, Node: f.at, Transport: f.transport, Room: f.room,
		Epoch: epochOf(f.position), Prev: f.seq, Fresh: f.position == "",
	})
}

// asked is the line of a client that asks a node how far a room goes. fresh: without a position.
func asked(client, node, transport, room string, fresh bool) history.Line {
	return history.Line{Op: history.OpHead, TMono: history.Now(), Client: client, Node: node, Transport: transport, Room: room, Fresh: fresh}
}

// head records what a client that asked was told.
func (r *recorder) head(line history.Line, epoch string, head int64) {
	line.TEnd, line.Epoch, line.Seq = history.Now(), epoch, head
	r.Add(line)
}

func (r *recorder) page(f *follower, p page, via history.Via) {
	lines := []history.Line{{
		Op: history.OpPage, Client: f.name, Node: f.at, Transport: f.transport, Room: f.room,
		Epoch: p.Epoch, Prev: p.Prev, Seq: p.Seq, Via: via, Floor: p.Floor, Head: p.Head,
	}}
	for _, e := range p.Events {
		lines = append(lines, history.Line{
			Op: history.OpEvent, Client: f.name, Node: f.at, Transport: f.transport, Room: f.room, Epoch: p.Epoch,
			Author: e.Author, Tag: e.Tag, PayloadHash: history.Hash(e.Data), Seq: e.Seq, Via: via,
		})
	}
	r.Add(lines...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seqs[f] = p.Seq
	close(r.moved)
	r.moved = make(chan struct{})
}

// reset records a reset. Where nothing prunes, restores or forks a room none is due, and the checker, which
// excuses every jump after one, must not be the only judge of it.
func (r *recorder) reset(f *follower, reason string, p page) {
	if !r.mayReset[reason] {
		r.violation(fmt.Errorf("%s was reset over %s, reason %s", f.room, f.transport, reason))
	}
	r.Add(history.Line{
		Op: history.OpReset, Client: f.name, Node: f.at, Transport: f.transport, Room: f.room, Epoch: p.Epoch, Reason: reason,
		Floor: p.Floor, Seq: p.Head,
	})
}

// turnedAway records how the server ended a connection, where it was let say so: a proxy may have cut it off first.
func (r *recorder) turnedAway(f *follower, err error) {
	switch websocket.CloseStatus(err) {
	case websocket.StatusServiceRestart:
		r.end(f, "1012")
	case 4501:
		r.end(f, "token_expired")
		r.mu.Lock()
		r.expired++
		r.mu.Unlock()
	}
}

func (r *recorder) end(f *follower, code string) {
	r.Add(history.Line{Op: history.OpEnd, Client: f.name, Node: f.at, Transport: f.transport, Room: f.room, Code: code, Count: f.back})
}

// invoke records that a message is about to leave, once per attempt.
func (r *recorder) invoke(w *writer, m *message, node string) *history.Call {
	return r.Invoke(history.Line{
		Client: w.name, Node: node, Transport: w.transport, Room: m.room, Author: w.name,
		Tag: m.tag, PayloadHash: history.Hash(m.data), Order: m.order,
	})
}

// breach is an answer that breaks the protocol, whatever was cut or killed before it.
type breach string

func (b breach) Error() string { return string(b) }

// note counts what cut a client off, so that a run which nothing disturbed is seen for what it is.
func (r *recorder) note(transport string, err error) {
	if b := breach(""); errors.As(err, &b) {
		r.violation(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes[fmt.Sprintf("%s: %T", transport, err)]++
}

// refused notes in which words a send was refused.
func (r *recorder) refused(node, code, title string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.words[strings.TrimSpace(fmt.Sprintf("%s %s: %s", node, code, title))]++
}

// violation notes what no fault excuses; the run fails by it.
func (r *recorder) violation(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong[err.Error()]++
}

// violations are the sentences noted, with how often each was.
func (r *recorder) violations() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.wrong)
}

// at is the seq that a follower has reached.
func (r *recorder) at(f *follower) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seqs[f]
}

// behind lists the followers that are not at the head of their room, and a channel that is closed when
// one of them moves.
func (r *recorder) behind(followers []*follower, heads map[string]int64) ([]*follower, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var late []*follower
	for _, f := range followers {
		if r.seqs[f] < heads[f.room] {
			late = append(late, f)
		}
	}
	return late, r.moved
}

func (r *recorder) total() (events int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seq := range r.seqs {
		events += seq
	}
	return events
}

// worked reports whether enough has happened for each promise to be put to the test. On a machine that is busy with
// other things a run takes longer.
func (r *recorder) worked() bool {
	events := r.total()
	r.mu.Lock()
	defer r.mu.Unlock()
	return events >= 1000 && r.expired >= 1 && r.wards >= 3
}
