package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// Memory that is short is given back by the tails at once, and readers lose nothing by it.
func TestSqueeze(t *testing.T) {
	const budget = 1 << 20
	m := newModel()
	m.grow("chat:a", 20_000)
	h := newHub(t, Config{Store: m, TailBytes: budget})
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, "chat:a", 20_000)
	if full := h.Stats().TailBytes; full < budget/2 {
		t.Fatalf("only %d bytes of tails to begin with", full)
	}
	h.Squeeze(4)
	if left := h.Stats().TailBytes; left > budget/4+budget/16 {
		t.Errorf("%d bytes of tails after the squeeze, want a quarter of %d", left, budget)
	}
	again := newReader(t, h, m, wire.WebSocket)
	if err := again.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
		t.Fatal(err)
	}
	again.waitFor(t, "chat:a", 20_000)
	if left := h.Stats().TailBytes; left > budget/4+budget/8 {
		t.Errorf("%d bytes of tails after another read", left)
	}
	h.Squeeze(1)
	third := newReader(t, h, m, wire.WebSocket)
	if err := third.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
		t.Fatal(err)
	}
	third.waitFor(t, "chat:a", 20_000)
	if full := h.Stats().TailBytes; full < budget/2 {
		t.Errorf("%d bytes of tails when there is memory again", full)
	}
}

// Those who have stood still the longest are shed first, then those with the most unsent; who takes bytes,
// or has just stopped, is not among them.
func TestShedSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: newModel()})
		h.Start()
		const slow = shedLeast + 1
		var peers []*peer
		var conns []*Conn
		attach := func(unsent int) {
			p := newPeer(wire.WebSocket, nil)
			p.give(1)
			c, err := h.Attach(p, wire.WebSocket)
			if err != nil {
				t.Fatal(err)
			}
			c.Reply(make([]byte, unsent))
			peers, conns = append(peers, p), append(conns, c)
		}
		for range slow - 2 {
			attach(100)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		attach(100) // these two at the same time: the larger goes first
		attach(200)
		synctest.Wait()
		time.Sleep(shedAfter)
		attach(300) // just now
		quick := newPeer(wire.WebSocket, nil)
		if _, err := h.Attach(quick, wire.WebSocket); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := h.ShedSlow(); n != shedLeast {
			t.Errorf("%d shed, want %d", n, shedLeast)
		}
		synctest.Wait()
		for i, p := range peers {
			ended, why := p.end()
			if want := i < shedLeast-1 || i == shedLeast; ended != want {
				t.Errorf("peer %d: ended %v, want %v", i, ended, want)
			} else if ended && (why.Code != room.CodeSlowConsumer || why.RetryAfter == 0) {
				t.Errorf("peer %d: %v", i, why)
			}
		}
		for i, p := range peers {
			if ended, _ := p.end(); ended { // as the transport does
				p.cutOff()
				conns[i].Detach()
			}
		}
		synctest.Wait()
		time.Sleep(shedAfter)
		if n := h.ShedSlow(); n != 2 {
			t.Errorf("%d shed, want the other two", n)
		}
		if ended, _ := quick.end(); ended {
			t.Error("one that takes everything was shed")
		}
		for _, p := range peers {
			p.cutOff()
		}
		stop(t, h)
	})
}
