package transport

import (
	"context"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// socket, stream and parked are the links of guests.

func (c *socket) cut(why *room.Error) {
	c.Close(why)
	c.hub.Detach()
	c.close(c.words(errEnded))
}

func (c *socket) expel(id room.ID, why *room.Error) {
	if c.hub.Leave(id) {
		_ = c.fail(&wire.Request{Room: string(id)}, why) // a reply of the hub has no error
	}
}

func (t *stream) cut(why *room.Error) {
	t.Close(why)
	t.hub.Detach()
	if t.begun.Load() { // else it is still answered by a problem
		t.close(t.farewell())
	}
}

// expel ends the stream: its rooms are those of its URL, and with it a client comes back in vain.
func (t *stream) expel(_ room.ID, why *room.Error) { t.cut(why) }

func (s *sink) follows() []room.ID { return s.hub.RoomIDs() }
func (s *sink) behind() int        { return s.hub.Behind() }
func (s *sink) address() string    { return s.pipe.conn().RemoteAddr().String() }

// close says the last words of a connection from outside of its reading goroutine, which finds them said.
// One in the middle of a frame, or full, takes nothing more either.
func (s *sink) close(words []byte) {
	if !s.last(words) {
		_ = s.pipe.conn().Close()
	}
}

// parked is a poll that waits. What it is answered by is judged when it wakes up.
type parked struct {
	guest
	room   room.ID
	from   string // the client's address
	cancel context.CancelFunc
}

func (p *parked) cut(*room.Error)            { p.cancel() }
func (p *parked) expel(room.ID, *room.Error) { p.cancel() }
func (p *parked) follows() []room.ID         { return []room.ID{p.room} }
func (p *parked) behind() int                { return 0 }
func (p *parked) address() string            { return p.from }
