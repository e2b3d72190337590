package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Recorder writes lines. All methods may be called by several goroutines at once; the lines of one
// cursor are checked in the order they were added.
//
// Lines are buffered. An invoke is passed to the operating system, with all lines before it, before
// Invoke returns: a process killed after it cannot have sent what its history does not know.
type Recorder struct {
	mu     sync.Mutex
	buf    *bufio.Writer
	closer io.Closer // nil for a writer that is not ours
	err    error     // the first; nothing is written after it
	closed bool
}

// errClosed refuses a line after Close.
var errClosed = errors.New("history: line after Close")

// NewRecorder writes to w, which Close does not close.
func NewRecorder(w io.Writer) *Recorder {
	return &Recorder{buf: bufio.NewWriterSize(w, 64<<10)}
}

// Create opens the file for appending, or makes it. A line that a killed process left half written is
// ended, so that it spoils no other.
func Create(file string) (*Recorder, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	r := NewRecorder(f)
	r.closer = f
	if err := r.endTornLine(f); err != nil {
		return nil, errors.Join(fmt.Errorf("open the history: %w", err), f.Close())
	}
	return r, nil
}

func (r *Recorder) endTornLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		return r.buf.WriteByte('\n')
	}
	return nil
}

// Add records lines; a TMono of 0 becomes now. The lines of one call stay together, also when the
// process is killed: add a page and its events at once. Errors are kept for Close.
func (r *Recorder) Add(lines ...Line) { r.add(false, lines...) }

func (r *Recorder) add(through bool, lines ...Line) {
	var text []byte
	var err error
	for _, l := range lines {
		if l.TMono == 0 {
			l.TMono = Now()
		}
		var one []byte
		one, err = json.Marshal(l)
		text = append(append(text, one...), '\n')
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return
	case r.closed:
		r.err = errClosed
		return
	case err == nil && len(text) > r.buf.Available():
		err = r.buf.Flush() // so that one write carries them all
	}
	if err == nil {
		_, err = r.buf.Write(text)
	}
	if err == nil && through {
		err = r.buf.Flush()
	}
	r.err = err
}

// Call is a send between its invocation and its answer.
type Call struct {
	recorder *Recorder
	line     Line
}

// Invoke records that the send described by l (client, room, author, tag, payload_hash, and order
// where sends are pipelined) is about to leave. Call it before the first byte does, once per attempt.
func (r *Recorder) Invoke(l Line) *Call {
	l.Op, l.TMono = OpInvoke, Now()
	r.add(true, l)
	return &Call{recorder: r, line: l}
}

// OK records an ack. Exactly one of OK, Fail and Unknown ends a call; one that is never ended counts
// as unknown.
func (c *Call) OK(epoch string, seq int64) {
	l := c.line
	l.Epoch, l.Seq = epoch, seq
	c.end(l, OK)
}

// Fail records a definite refusal with its error code.
func (c *Call) Fail(code string) {
	l := c.line
	l.Code = code
	c.end(l, Fail)
}

// Unknown records that no answer came, or that it was `outcome_unknown`.
func (c *Call) Unknown(code string) {
	l := c.line
	l.Code = code
	c.end(l, Unknown)
}

func (c *Call) end(l Line, result Outcome) {
	l.Op, l.Result, l.TEnd = OpSend, result, Now()
	c.recorder.Add(l)
}

// Flush passes what is buffered to the operating system.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.buf.Flush()
	}
	return r.err
}

// Close flushes, closes the file that Create opened and returns the first error of the recorder's
// life. Calls after the first do nothing but return that.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.err
	}
	r.closed = true
	if r.err == nil {
		r.err = r.buf.Flush()
	}
	if r.closer != nil {
		r.err = errors.Join(r.err, r.closer.Close())
	}
	return r.err
}
