package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
)

// SEND-4, SEND-8: a send that the queue does not take when its turn comes has voided those behind it before one
// more is taken, however long it takes to tell what came before.
func TestNothingOvertakesARefusalOfTheQueue(t *testing.T) {
	bubble(t, Config{QueueSends: 1}, func(t *testing.T, h *Hub, m *model, g gate) {
		o := newOrdered(t, h)
		decide := make(chan struct{})
		h.Submit(Submit{Send: send("chat:a"), Conn: o.conn, N: 1, Ask: func(context.Context) (room.Send, *room.Error) {
			<-decide
			return room.Send{}, &room.Error{Code: room.CodeRefused}
		}}, func(out Outcome) {
			o.out.done("1")(out)
			g.open()
			synctest.Wait() // there is room in the queue again
			o.send("3", 3)
			synctest.Wait()
		})
		g.faults <- fault{} // its tag is looked up
		synctest.Wait()
		o.send("2", 2)
		h.Submit(Submit{Send: send("chat:b")}, o.out.done("in flight"))
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:b")}, o.out.done("fills the queue"))
		close(decide)
		time.Sleep(time.Millisecond) // of the fake clock: when all has been said
		o.out.want("1", room.CodeRefused)
		o.out.want("2", room.CodeOverloaded)
		o.out.want("3", room.CodeOutOfOrder)
		if head := m.headOf("chat:a").Seq; head != 0 {
			t.Errorf("head %d: the third is stored before the second", head)
		}
	})
}

// SEND-4, SEND-8: sends that waited too long for a store that does not answer have voided those behind them
// before the next batch is formed, though it answers while they are refused.
func TestNothingOvertakesAnExpiredSend(t *testing.T) {
	bubble(t, Config{UnknownAfter: time.Second}, func(t *testing.T, h *Hub, m *model, g gate) {
		o := newOrdered(t, h)
		h.Submit(Submit{Send: send("chat:b")}, o.out.done("in flight"))
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:b")}, func(out Outcome) {
			o.out.done("expired")(out)
			o.send("2", 2)
			g.open()
			synctest.Wait()
		})
		o.send("1", 1)
		time.Sleep(time.Second + 2*overdueEvery)
		synctest.Wait()
		o.out.want("expired", room.CodeUnavailable)
		o.out.want("1", room.CodeUnavailable)
		o.out.want("2", room.CodeOutOfOrder)
		if head := m.headOf("chat:a").Seq; head != 0 {
			t.Errorf("head %d: the second is stored before the first", head)
		}
		o.send("1 again", 1)
		synctest.Wait()
		o.out.want("1 again", "")
	})
}
