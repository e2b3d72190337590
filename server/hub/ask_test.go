package hub

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// app is somebody who is asked: it takes its time, and decides by what it is told to.
type app struct {
	mu    sync.Mutex
	rnd   *rand.Rand
	asked map[room.Tag]int
	fates map[room.Tag][]room.Code // what it answers, one after the other; then it accepts
}

func (a *app) ask(s room.Send) func(context.Context) (room.Send, *room.Error) {
	return func(ctx context.Context) (room.Send, *room.Error) {
		a.mu.Lock()
		a.asked[s.Tag]++
		wait := time.Duration(a.rnd.IntN(300)) * time.Millisecond
		var code room.Code
		if fates := a.fates[s.Tag]; len(fates) > 0 {
			code = fates[0]
			if code != room.CodeForbidden { // that it says again
				a.fates[s.Tag] = fates[1:]
			}
		}
		a.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return room.Send{}, unavailable(ctx.Err())
		}
		if code != "" {
			return room.Send{}, &room.Error{Code: code}
		}
		s.Sent = room.FingerprintOf(s.Type, s.Data)
		s.Data = append([]byte(`{"was":`), append(bytes.Clone(s.Data), '}')...)
		return s, nil
	}
}

// HOOK-2, HOOK-3, SEND-3 to SEND-8: however long the app takes for each and whatever it says, what one connection
// sends to a room is stored in the order of n, rewritten, each once, and nothing that it refused; a second
// connection is not held up.
func TestAskedSendsKeepTheirOrder(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { askedInOrder(t, seed) }) })
	}
}

func askedInOrder(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	m := newModel()
	h := New(Config{Store: m})
	h.Start()
	conn, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{rnd: rand.New(rand.NewPCG(seed, 2)), asked: map[room.Tag]int{}, fates: map[room.Tag][]room.Code{}}
	const many = 60
	sends := make([]room.Send, many)
	refused := map[int]bool{}
	for i := range sends {
		sends[i] = send("chat:a")
		for rnd.IntN(8) == 0 {
			a.fates[sends[i].Tag] = append(a.fates[sends[i].Tag], room.CodeUnavailable)
		}
		if rnd.IntN(8) == 0 {
			refused[i] = true
			a.fates[sends[i].Tag] = append(a.fates[sends[i].Tag], room.CodeForbidden)
		}
	}
	var mu sync.Mutex
	settled := make([]*Outcome, many)
	for round := 0; ; round++ {
		if round > 40*many {
			t.Fatal("the sends are never done")
		}
		open := 0
		for i := range sends {
			mu.Lock()
			done := settled[i] != nil
			mu.Unlock()
			if done {
				continue
			}
			open++
			h.Submit(Submit{Send: sends[i], Conn: conn, N: int64(i + 1), Ask: a.ask(sends[i])}, func(o Outcome) {
				mu.Lock()
				defer mu.Unlock()
				if o.Err == nil || !o.Err.Retryable() {
					settled[i] = &o
				}
			})
			if rnd.IntN(4) == 0 {
				time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
			}
		}
		if open == 0 {
			break
		}
		time.Sleep(time.Minute)
	}
	synctest.Wait()
	var want []room.Send
	for i, o := range settled {
		if refused[i] != (o.Err != nil && o.Err.Code == room.CodeForbidden) {
			t.Errorf("send %d: %v, refused by the app: %t", i, o.Err, refused[i])
		}
		if o.Err == nil {
			want = append(want, sends[i])
		}
	}
	events := m.rooms["chat:a"].events
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d", len(events), len(want))
	}
	for i, e := range events {
		if e.Tag != want[i].Tag || string(e.Data) != `{"was":`+string(want[i].Data)+`}` {
			t.Fatalf("SEND-8: event %d is %s %s, want %s", i, e.Tag, e.Data, want[i].Tag)
		}
	}
	stop(t, h)
}

// HOOK-3: a tag that is stored is answered without asking, also over HTTP.
func TestAStoredTagIsNotAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, Config{Store: newModel()})
		a := &app{rnd: rand.New(rand.NewPCG(1, 1)), asked: map[room.Tag]int{}}
		s := send("chat:a")
		for i := range 3 {
			o := submit(h, Submit{Send: s, Ask: a.ask(s)})
			if o.Err != nil || o.Verdict.Seq != 1 || o.Verdict.Duplicate != (i > 0) {
				t.Errorf("send %d: %+v", i, o)
			}
		}
		if a.asked[s.Tag] != 1 {
			t.Errorf("asked %d times", a.asked[s.Tag])
		}
	})
}

// HOOK-5, SEND-10: more than 128 of a connection are not asked about at a time; a send to another room is
// not held up by those, nor is another sender.
func TestAsksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: newModel()})
		h.Start()
		o := newOrdered(t, h)
		never := func(ctx context.Context) (room.Send, *room.Error) {
			<-ctx.Done()
			return room.Send{}, unavailable(ctx.Err())
		}
		for n := range int64(maxAskedPerConn) {
			h.Submit(Submit{Send: send("chat:a"), Conn: o.conn, N: n + 1, Ask: never}, o.out.done(fmt.Sprint(n)))
		}
		h.Submit(Submit{Send: send("chat:b"), Conn: o.conn, N: 1}, o.out.done("another room"))
		h.Submit(Submit{Send: send("chat:a"), Conn: o.conn, N: maxAskedPerConn + 1, Ask: never}, o.out.done("one more"))
		h.Submit(Submit{Send: send("chat:a")}, o.out.done("another sender"))
		synctest.Wait()
		o.out.want("one more", room.CodeOverloaded)
		o.out.want("another room", "")
		o.out.want("another sender", "")
		o.out.none("0")
		stop(t, h) // CLOSE-7: what was taken is answered
		for n := range maxAskedPerConn {
			o.out.mu.Lock()
			if got := o.out.got[fmt.Sprint(n)].Err; got == nil || got.Code != room.CodeGoingAway && got.Code != room.CodeOutOfOrder {
				t.Errorf("send %d: %v", n, got)
			}
			o.out.mu.Unlock()
		}
		if h.asks.count != 0 || h.asks.bytes != 0 || o.conn.asked.Load() != 0 {
			t.Errorf("places that were not given back: %d, %d bytes, %d of the connection", h.asks.count, h.asks.bytes, o.conn.asked.Load())
		}
	})
}
