package main

import (
	"bytes"
	"errors"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// server is one thread's: nothing in it is shared.
type server struct {
	epoll    int
	listener int
	coalesce bool
	conns    []*conn // by file descriptor
	rooms    map[string]*room
	dirty    []*room // with something gathered
	scratch  []byte  // what a read has brought
	ack      []byte  // a frame being made
}

type room struct {
	members  []*conn
	gathered []byte // frames not yet written to any member
}

type conn struct {
	fd       int
	upgraded bool
	room     *room
	at       int    // in room.members
	in       []byte // received, not yet whole
	out      []byte // what the socket did not take
}

// newServer takes the listener over.
func newServer(l *net.TCPListener, coalesce bool) (*server, error) {
	file, err := l.File() // a descriptor of its own, so that Go's poller has no part in it
	if err != nil {
		return nil, err
	}
	defer file.Close()
	listener, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	s := &server{epoll: epoll, listener: listener, coalesce: coalesce, rooms: make(map[string]*room), scratch: make([]byte, 64<<10)}
	return s, errors.Join(l.Close(), unix.SetNonblock(listener, true), s.watch(unix.EPOLL_CTL_ADD, listener, unix.EPOLLIN))
}

func (s *server) watch(op, fd int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// run returns only when epoll or the listener fails.
func (s *server) run() error {
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == s.listener {
				if err := s.accept(); err != nil {
					return err
				}
				continue
			}
			s.serve(s.conns[e.Fd], e.Events)
		}
		for _, r := range s.dirty {
			s.broadcast(r, r.gathered)
			r.gathered = r.gathered[:0]
		}
		s.dirty = s.dirty[:0]
	}
}

// serve answers one event; c is nil when it was dropped by an earlier one of the same wait.
func (s *server) serve(c *conn, events uint32) {
	if c == nil {
		return
	}
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 {
		s.drain(c)
	}
	if events&^unix.EPOLLOUT != 0 && !s.gone(c) {
		s.read(c)
	}
}

func (s *server) accept() error {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
		if err := s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return err
		}
		if fd >= len(s.conns) {
			s.conns = append(s.conns, make([]*conn, fd+1-len(s.conns))...)
		}
		s.conns[fd] = &conn{fd: fd}
	}
}

// drop forgets a connection. Its slot is empty before its descriptor can be used again.
func (s *server) drop(c *conn) {
	if s.gone(c) {
		return
	}
	s.conns[c.fd] = nil
	unix.Close(c.fd)
	if c.room != nil {
		last := len(c.room.members) - 1
		c.room.members[c.at] = c.room.members[last]
		c.room.members[c.at].at = c.at
		c.room.members = c.room.members[:last]
	}
}

func (s *server) gone(c *conn) bool { return s.conns[c.fd] != c }

func (s *server) read(c *conn) {
	n, err := unix.Read(c.fd, s.scratch)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if n <= 0 {
		s.drop(c)
		return
	}
	data := s.scratch[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	rest, err := s.consume(c, data)
	if err != nil {
		s.drop(c)
		return
	}
	if len(rest) == 0 {
		c.in = nil // an idle connection holds no buffer
	} else {
		c.in = slices.Clone(rest)
	}
}

// write sends frames, after what is still due; what the socket does not take waits for EPOLLOUT.
func (s *server) write(c *conn, frames []byte) {
	if len(c.out) > 0 {
		c.out = append(c.out, frames...)
		return // until EPOLLOUT
	}
	n, err := unix.Write(c.fd, frames)
	switch {
	case n == len(frames):
		return
	case err == unix.EAGAIN || err == unix.EINTR:
		n = 0
	case err != nil:
		s.drop(c)
		return
	}
	c.out = slices.Clone(frames[n:])
	if s.watch(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN|unix.EPOLLOUT) != nil {
		s.drop(c)
	}
}

// drain writes what the socket did not take before.
func (s *server) drain(c *conn) {
	n, err := unix.Write(c.fd, c.out)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		s.drop(c)
		return
	}
	if c.out = c.out[n:]; len(c.out) > 0 {
		return
	}
	c.out = nil
	if s.watch(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN) != nil {
		s.drop(c)
	}
}

// broadcast goes backwards, since a member that is dropped leaves its place to the last.
func (s *server) broadcast(r *room, frames []byte) {
	for i := len(r.members) - 1; i >= 0; i-- {
		s.write(r.members[i], frames)
	}
}

// message acts on one text frame.
func (s *server) message(c *conn, text []byte) error {
	if s.gone(c) {
		return errors.New("an answer could not be written")
	}
	op, rest, _ := bytes.Cut(text, []byte(" "))
	switch string(op) {
	case "join":
		if c.room != nil {
			return errors.New("a connection joins one room")
		}
		c.room = s.room(rest)
		c.at = len(c.room.members)
		c.room.members = append(c.room.members, c)
		s.write(c, appendFrame(nil, []byte("joined")))
	case "send":
		id, rest, _ := bytes.Cut(rest, []byte(" "))
		name, body, ok := bytes.Cut(rest, []byte(" "))
		if !ok {
			return errors.New("send ID ROOM BODY")
		}
		s.publish(s.room(name), body)
		s.ack = append(append(s.ack[:0], "ack "...), id...)
		s.write(c, appendFrame(nil, s.ack))
	default:
		return errors.New("neither join nor send")
	}
	return nil
}

func (s *server) room(name []byte) *room {
	r := s.rooms[string(name)]
	if r == nil {
		r = &room{}
		s.rooms[string(name)] = r
	}
	return r
}

func (s *server) publish(r *room, body []byte) {
	if !s.coalesce {
		r.gathered = appendFrame(r.gathered[:0], body)
		s.broadcast(r, r.gathered)
		return
	}
	if len(r.gathered) == 0 {
		s.dirty = append(s.dirty, r)
	}
	r.gathered = appendFrame(r.gathered, body)
}
