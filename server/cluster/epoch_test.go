package cluster

import (
	"testing"
	"testing/synctest"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// The database has another epoch, of which one node has heard and another not yet: who comes from the first with the new
// epoch is not sent back to the old one by the second (I11, RESET-7).
func TestAnotherEpochAtOneNodeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 21)
		a, b := w.join("a"), w.join("b")
		settle()
		a.read(t, w.log, roomA)
		b.read(t, w.log, roomA)
		a.send(t, roomA)
		settle()
		var head room.Head
		w.log.set(func(l *log) {
			l.rooms[roomA].epoch++
			head = l.rooms[roomA].head(roomA)
		})
		conn, err := b.hub.Attach(&listener{log: w.log, at: map[room.ID]room.Seq{}}, wire.EventStream)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Detach)
		join := hub.Join{
			Room: roomA, HasPosition: true, Replay: -1,
			Position: room.Position{Epoch: head.Epoch, Seq: head.Seq, Mark: head.Mark},
		}
		err = conn.Follow(t.Context(), []hub.Join{join}, func(rooms []hub.Followed) []byte {
			if f := rooms[0]; f.Reset != "" || f.Head.Epoch != head.Epoch {
				t.Errorf("who comes in epoch %s is reset (%q) to epoch %s", head.Epoch, f.Reset, f.Head.Epoch)
			}
			return []byte("event: ready\ndata: {}\n\n")
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
