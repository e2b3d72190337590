package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/room"
)

// yjsLine is the WebSocket of a client of Yjs: its messages in, ours out. One goroutine reads; any may write.
type yjsLine struct {
	srv    *Server
	id     string          // for the log
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	frames frameReader

	writing sync.Mutex // over writes to the client
	pipe    pipe
	shut    bool // a close frame was written: nothing may follow
}

// yjsMessage bounds a message of a client of Yjs, in bytes.
const yjsMessage = room.MaxDocUpdate + 1024

// write gives bytes to the client; where it takes none for the write deadline, the connection ends.
func (l *yjsLine) write(frame []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.put(frame)
}

// put is write for who holds the lock.
func (l *yjsLine) put(frame []byte) {
	if l.shut {
		return
	}
	if err := l.pipe.writeAll(frame); err != nil {
		l.hangUp()
	}
}

// say gives the client a message.
func (l *yjsLine) say(message []byte) { l.write(appendBinary(nil, message)) }

// hangUp has the reading goroutine end.
func (l *yjsLine) hangUp() {
	l.cancel()
	_ = l.pipe.conn().SetReadDeadline(time.Unix(1, 0)) // long past
}

// bye ends the connection with a close code; the client has a moment to answer.
func (l *yjsLine) bye(code uint16, reason string) {
	l.writing.Lock()
	l.put(appendClose(nil, code, reason))
	l.shut = true
	l.writing.Unlock()
	l.cancel()
	_ = l.pipe.conn().SetReadDeadline(time.Now().Add(lingerFor))
}

// listen has everything handled that the client says, from what came early on, until the connection is to end.
func (l *yjsLine) listen(early []byte, to listener) {
	err := l.feed(early, to)
	for err == nil {
		c, failed := l.pipe.read()
		if failed != nil {
			return
		}
		err = l.feed(c.bytes(), to)
		c.free()
	}
	if !errors.Is(err, errEnded) && l.ctx.Err() == nil {
		code, reason := lastOfYjs(err)
		l.bye(code, reason)
	}
	l.linger()
}

func (l *yjsLine) feed(p []byte, to listener) (err error) {
	defer l.srv.rescue(&err, "connection", l.id)
	return l.frames.feed(p, to)
}

// lastOfYjs is how the connection ends for what the client sent.
func lastOfYjs(err error) (code uint16, reason string) {
	var v *violation
	var p peerClosed
	switch {
	case errors.As(err, &v):
		return v.code, v.reason
	case errors.As(err, &p):
		return uint16(p), ""
	}
	return closeInternal, string(room.CodeInternal)
}

// linger reads on until the client has taken the last words.
func (l *yjsLine) linger() {
	<-l.ctx.Done()
	for left := lingerBytes; left > 0; {
		c, err := l.pipe.read()
		if err != nil {
			return
		}
		left -= c.n
		c.free()
	}
}

// answerControl handles a control frame; beat is called for each that shows that the client is there.
func (l *yjsLine) answerControl(op ws.OpCode, payload []byte, beat func() error) error {
	switch op {
	case ws.OpPing:
		l.write(appendControl(nil, ws.OpPong, payload))
	case ws.OpClose:
		code, err := checkClose(payload)
		if err != nil {
			return err
		}
		return peerClosed(code)
	}
	return beat()
}

// appendBinary appends a binary frame as a server sends it.
func appendBinary(dst, payload []byte) []byte {
	const first = 0x80 | byte(ws.OpBinary)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
	}
	return append(dst, payload...)
}
