package torture

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// board is a replica of a room's map: it folds what it is given, and comes back to another node every moment, from where it stood or anew.
// What it knows of a key never goes back, and nobody is told another value of one (STATE-7, STATE-8, STATE-10).
type board struct {
	cursor
	name string
	rec  *recorder
	told *gossip

	lasts, away time.Duration // of a visit, and between two of them
	dawdles     time.Duration // after each page, at most
	replay      int           // as place has it
	newcomer    bool          // it knows nothing whenever it comes, and is given the map

	mu       sync.Mutex
	position string
	seq      int64
	most     int64 // the highest seq that it was given, whatever its position
	keys     map[string]entry
	high     map[string]int64 // of each key, the highest seq that it was given
	fresh    bool             // it has begun anew, and waits for its first page
	folded   int              // pages with keys
	final    string           // what it showed in the end
}

// gossip is what all who read were told of each key.
type gossip struct {
	mu     sync.Mutex
	values map[string]rawText
}

// differs notes what a reader was told, and says what another was told before, where that is something else.
func (t *gossip) differs(room, key string, e entry) (was rawText, is bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := fmt.Sprintf("%s %s %d", room, key, e.Seq)
	was, known := t.values[at]
	if !known {
		t.values[at] = e.Value
	}
	return was, known && was != e.Value
}

func (b *board) run(ctx context.Context) {
	b.forget()
	for ctx.Err() == nil {
		switch dice := b.rng.IntN(4); {
		case b.newcomer || dice == 1:
			b.begin()
		case dice == 0:
			b.forget()
		}
		b.rec.visited("board "+b.transport, b.visit(ctx, b.lasts/4+time.Duration(b.rng.Int64N(int64(b.lasts)))))
		wait(ctx, time.Duration(b.rng.Int64N(int64(b.away))))
	}
}

func (b *board) visit(ctx context.Context, lasting time.Duration) error {
	return b.follow(ctx, lasting, b.where, func(node string, p changedPage) {
		b.take(node, p)
		if b.dawdles > 0 {
			wait(ctx, time.Duration(b.rng.Int64N(int64(b.dawdles))))
		}
	}, b.forget)
}

// forget has it begin from the beginning of the room, which goes through all that was: it knows nothing then.
func (b *board) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.position, b.seq, b.most, b.fresh = "0", 0, 0, false
	b.keys, b.high = make(map[string]entry), make(map[string]int64)
}

// begin has it begin with the latest page and the map of that, which may end before the head: what follows may be older than what it had.
func (b *board) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.transport == "ws" {
		b.position, b.seq, b.fresh = "", 0, true
		clear(b.high)
	}
}

func (b *board) where() place {
	b.mu.Lock()
	defer b.mu.Unlock()
	return place{position: b.position, seen: b.most, replay: b.replay}
}

// reached says whether it has all up to a seq, and keeps what it shows then: later it may begin anew.
func (b *board) reached(seq int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seq >= seq {
		b.final = shown(b.keys)
	}
	return b.seq >= seq
}

func (b *board) shows() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return shown(b.keys)
}

func (b *board) take(node string, p changedPage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := func(rule, format string, args ...any) {
		b.rec.violation(fmt.Errorf("%s: node %s, %s of %s: %s", rule, node, b.name, b.room, fmt.Sprintf(format, args...)))
	}
	if !b.fresh && p.Prev != b.seq {
		wrong("PAGE-6", "a page after %d where %d was due", p.Prev, b.seq)
	}
	if p.Full || b.fresh {
		clear(b.keys)
	}
	if len(p.State) > 0 {
		b.folded++
	}
	set := func(key string, e entry) {
		if e.Seq < b.high[key] {
			wrong("I15", "the key %s goes back from %d to %d", key, b.high[key], e.Seq)
		}
		if e.Seq > p.Seq || !p.Full && !b.fresh && e.Seq <= p.Prev {
			wrong("STATE-7", "the key %s of %d is in a page of %d to %d", key, e.Seq, p.Prev, p.Seq)
		}
		if was, is := b.told.differs(b.room, key, e); is {
			wrong("I4", "the key %s at %d is %s, and was %s to others", key, e.Seq, e.Value, was)
		}
		b.keys[key], b.high[key] = e, max(e.Seq, b.high[key])
	}
	if !b.fresh || !p.Full { // else the map has them, and they are older
		for _, e := range p.Events {
			if e.Type == "state" {
				for key, value := range e.sets() {
					set(key, entry{Value: value, Deleted: value == "", Seq: e.Seq})
				}
			}
		}
	}
	for key, e := range p.State {
		set(key, e)
	}
	b.position, b.seq, b.most, b.fresh = p.Position, p.Seq, max(b.most, p.Seq), false
}
