package transport

import (
	"bufio"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/room"
	"roomlog/server/ysync"
)

// hocusHeld bounds the changes of a client that wait for its answer to be counted as stored.
const hocusHeld = 1 << 16

// hocusDoc is a document that a client of Hocuspocus has open.
type hocusDoc struct {
	*yjsDoc
	on       *hocusConn
	document string // as the client names it
	done     chan struct{}
	in       bool        // guarded by on.mu
	left     atomic.Bool // the client has closed it, or was told that it ended
	pinged   atomic.Bool // a sign of life is wanted

	asked bool // the client is to answer what the server asked for; of the reading goroutine
	held  int  // changes since, which are in the answer
}

// down passes on what the socket behind says, until that ends. What is over for good ends the document alone; where the client is to come back it
// ends the connection, since a client of Hocuspocus does so for nothing less.
func (d *hocusDoc) down() {
	defer close(d.done)
	end, err := d.pass(bufio.NewReader(d.near), d)
	_ = d.near.Close()
	d.on.gone(d)
	switch {
	case d.left.Load() || d.on.ctx.Err() != nil:
	case err != nil:
		d.on.hangUp()
	case d.isFinal(end):
		d.farewell(end.why)
	case end.code == 0:
		d.on.bye(yjsRefusal(end.why), string(end.why))
	default:
		d.on.bye(end.code, string(end.why))
	}
	d.cancel()
}

// isFinal reports whether a client that comes back would find the same.
func (*hocusDoc) isFinal(end *yjsEnd) bool {
	_, known := meanings[end.why]
	return known && end.code != closeGoingAway && !end.why.Retryable()
}

// farewell tells the client that the document is not open to it.
func (d *hocusDoc) farewell(why room.Code) {
	d.on.refuse(d.document, why)
	select {
	case <-d.joined:
		d.on.say(ysync.AppendClosed(nil, d.document, string(why)))
	default:
	}
}

// leave ends the document, and returns when nothing more is said of it.
func (d *hocusDoc) leave() {
	d.left.Store(true)
	_ = d.near.Close()
	<-d.done
}

// say implements yjsClient.
func (d *hocusDoc) say(message []byte) {
	d.on.say(ysync.AppendTo(nil, d.document, message))
}

// ping implements yjsClient. It says a message beside: a client that hears none for 30 s connects again. From the end of its token on the client
// is asked for another one, for as long as the old one is put up with.
func (d *hocusDoc) ping() {
	d.pinged.Store(true)
	d.on.beaten.Store(false)
	frames := appendBinary(appendControl(nil, ws.OpPing, nil), ysync.AppendPing(nil))
	if who := d.who(); who != nil && time.Until(who.Until) < hocusRenew {
		frames = appendBinary(frames, ysync.AppendTokenAsked(nil, d.document))
	}
	d.on.write(frames)
}

// hocusRenew is how long before a connection outlives its token its client is asked for another: what tokens are good for beyond their exp.
const hocusRenew = 30 * time.Second

// renew puts another token in place of the first.
func (d *hocusDoc) renew(token string) error {
	if err := d.tell(map[string]any{"op": "refresh", "id": yjsRefresh, "token": token}); err != nil {
		return err
	}
	return d.tell(map[string]string{"op": "ping"}) // answered after it
}

// renewed implements yjsClient: it tells the client what it may do.
func (d *hocusDoc) renewed() {
	d.on.say(ysync.AppendAuthenticated(nil, d.document, d.writes()))
}

// stale implements yjsClient: the token that there was is good until it ends.
func (d *hocusDoc) stale(why room.Code) { d.on.refuse(d.document, why) }

// take handles a message about the document.
func (d *hocusDoc) take(m ysync.Message) (err error) {
	switch m.Kind {
	case ysync.Ask:
		err = d.answer(m.Body)
	case ysync.Update:
		// The client counts no change from before it asked. It sends them all the same, in as many messages as there were while it was
		// offline; and they are in its answer.
		if d.asked {
			if d.held++; d.held > hocusHeld {
				return &violation{closeOverloaded, string(room.CodeRateLimited)}
			}
			return nil
		}
		err = d.keep(m.Body, 1)
	case ysync.Answer:
		n := 1 + d.held
		d.asked, d.held = false, 0
		err = d.keep(m.Body, n)
	case ysync.Query:
		err = d.query()
	case ysync.Awareness:
		err = d.aware(m.Body)
	}
	e := (*room.Error)(nil)
	switch {
	case !errors.As(err, &e):
		return err
	case isReplaced(e):
		return &violation{closeGoingAway, string(room.CodeReset)}
	case e.Retryable():
		return &violation{yjsRefusal(e.Code), string(e.Code)}
	}
	d.leave()
	d.farewell(e.Code)
	return nil
}

// answer gives the client what it lacks, and asks for what the document lacks of its: also of who may not write, whose client
// takes the answer to that for the word that all is stored.
func (d *hocusDoc) answer(vector []byte) error {
	doc, err := d.read(vector)
	if err != nil {
		return err
	}
	d.asked, d.held = true, 0
	d.say(ysync.AppendAnswer(nil, doc.State))
	d.say(ysync.AppendAsk(nil, doc.Vector))
	return nil
}

// keep stores a change, and then says so, as often as the client waits for it. Who may not write is told that it may not, and reads on.
func (d *hocusDoc) keep(update []byte, times int) error {
	may := d.writes()
	stored := may
	var err error
	if may {
		err = d.store(update)
		if e := (*room.Error)(nil); errors.As(err, &e) && e.Code == room.CodeForbidden { // by what the room says, not the token
			d.on.say(ysync.AppendAuthenticated(nil, d.document, false))
			may, stored = false, false
		}
	}
	if !may {
		stored, err = d.has(update)
	}
	if err != nil {
		return err
	}
	var frames []byte
	status := ysync.AppendStatus(nil, d.document, stored)
	for range times {
		frames = appendBinary(frames, status)
	}
	d.on.write(frames)
	return nil
}

// has reports whether the document has all of an update. Errors: as those of read.
func (d *hocusDoc) has(update []byte) (has bool, err error) {
	if isNothing(update) {
		return true, nil
	}
	// Not in the return: in which order a result is read and a call that sets it is made, Go does not say.
	err = d.again(func() error {
		if err := d.srv.quotas.rates.read(d.who().User); err != nil {
			return err
		}
		var failed *room.Error
		if has, failed = d.srv.hasDoc(d.ctx, d.who().User, d.id, d.doc, update); failed != nil {
			return failed
		}
		return nil
	})
	return has, err
}
