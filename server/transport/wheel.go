package transport

import (
	"context"
	"math"
	"sync"
	"time"

	"roomlog/server/room"
)

// wheel ends connections whose time is over: no hello yet, or an expired token. It is one goroutine
// and one ticker for all of them, precise to a tick.
type wheel struct {
	mu    sync.Mutex
	slots map[int64]*deadline // by tick, each the head of a list
	done  int64               // every slot up to here has been looked at
	now   func() time.Time
}

// tick is how finely time is cut.
const tick = 250 * time.Millisecond

// deadline is one connection's place on the wheel. Its zero value is nowhere.
type deadline struct {
	sink       *sink
	slot       int64 // 0: nowhere
	prev, next *deadline
	code       room.Code // what ends the connection
}

func newWheel(now func() time.Time) *wheel {
	w := &wheel{slots: make(map[int64]*deadline), now: now}
	w.done = slotOf(now())
	return w
}

// slotOf is the slot of a time; all that is further than any slot is in the farthest, as a token may say.
func slotOf(t time.Time) int64 {
	const perSecond = int64(time.Second / tick)
	return min(t.Unix(), math.MaxInt64/perSecond-2)*perSecond + int64(t.Nanosecond())/int64(tick)
}

// set moves d to a time, when its connection ends with code; a time that is past means the next tick.
func (w *wheel) set(d *deadline, at time.Time, code room.Code) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(d)
	w.back()
	d.code = code
	d.slot = max(slotOf(at)+1, w.done+1) // the tick after, so that nobody is cut early
	d.next = w.slots[d.slot]
	if d.next != nil {
		d.next.prev = d
	}
	w.slots[d.slot] = d
}

// drop takes d off the wheel; it may be nowhere.
func (w *wheel) drop(d *deadline) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(d)
}

func (w *wheel) unlink(d *deadline) {
	if d.slot == 0 {
		return
	}
	switch {
	case d.prev != nil:
		d.prev.next = d.next
	case d.next == nil:
		delete(w.slots, d.slot)
	default:
		w.slots[d.slot] = d.next
	}
	if d.next != nil {
		d.next.prev = d.prev
	}
	d.slot, d.prev, d.next = 0, nil, nil
}

// run turns the wheel until ctx ends. each runs on every turn.
func (w *wheel) run(ctx context.Context, each func()) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w.turn()
			each()
		}
	}
}

// turn ends the connections whose time has come.
func (w *wheel) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.back()
	now := slotOf(w.now())
	if now-w.done > int64(len(w.slots)) { // the clock jumped, or slots are few: look at those there are
		for slot := range w.slots {
			if slot <= now {
				w.expire(slot)
			}
		}
		w.done = now
	}
	for ; w.done < now; w.done++ {
		w.expire(w.done + 1)
	}
}

// back follows a time of day that was set back (I28): what is set from now on would else be due only when it
// is as late again. A token lasts until its hour has come.
func (w *wheel) back() { w.done = min(w.done, slotOf(w.now())) }

func (w *wheel) expire(slot int64) {
	for d := w.slots[slot]; d != nil; d = w.slots[slot] {
		w.unlink(d)
		d.sink.Close(overdue(d.code))
	}
}

func overdue(code room.Code) *room.Error {
	if code == room.CodeTokenExpired {
		return &room.Error{Code: code, Title: "The token has expired; connect again with a new one.", Field: "token"}
	}
	return &room.Error{Code: code, Title: "No hello came in time."}
}
