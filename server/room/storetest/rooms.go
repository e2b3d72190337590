package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
)

func mustFind(t *testing.T, s room.Store, id room.ID) room.Record {
	t.Helper()
	r, err := s.(room.Rooms).Find(within(t), id)
	if err != nil || r.Room != id {
		t.Fatalf("find %s: %+v, %v", id, r, err)
	}
	return r
}

func mustDelete(t *testing.T, s room.Store, id room.ID) (room.Head, bool) {
	t.Helper()
	h, deleted, err := s.(room.Rooms).Delete(within(t), id)
	if err != nil {
		t.Fatalf("delete %s: %v", id, err)
	}
	return h, deleted
}

// testCreateRoom makes rooms exist by creation and by a first event (ROOM-4, ROOM-8).
func testCreateRoom(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:made")
	before := mustFind(t, s, id)
	if before.Exists() || before.CreatedBy != "" || before.Head != mustHead(t, s, id) {
		t.Errorf("ROOM-4: a room that does not exist is %+v", before)
	}
	r, created, err := s.(room.Rooms).Create(within(t), id, "mira", 0)
	if err != nil || !created || !r.Exists() || r.CreatedBy != "mira" || r.Head != before.Head || time.Since(r.CreatedAt).Abs() > time.Minute {
		t.Fatalf("ROOM-8: created is %+v, %v, %v", r, created, err)
	}
	again, created, err := s.(room.Rooms).Create(within(t), id, "theo", 0)
	if err != nil || created || again != r || mustFind(t, s, id) != r {
		t.Errorf("ROOM-8: created again it is %+v, %v, %v, was %+v", again, created, err, r)
	}
	if out := mustAppend(t, s, say(id, "theo", "hi")); out.Verdicts[0].Seq != 1 || out.Rooms[0].Head.Epoch != r.Epoch {
		t.Errorf("ROOM-4: the first event of a created room: %+v", out)
	}
	if now := mustFind(t, s, id); now.CreatedBy != "mira" || !now.CreatedAt.Equal(r.CreatedAt) || now.Seq != 1 {
		t.Errorf("ROOM-8: the first event made %+v of it", now)
	}
	mustAppend(t, s, say("chat:sent", "theo", "1"), say("chat:sent", "mira", "2"))
	if sent := mustFind(t, s, "chat:sent"); !sent.Exists() || sent.CreatedBy != "theo" {
		t.Errorf("ROOM-4: a first stored send made %+v", sent)
	}
	asked := say("chat:asked", "theo", "1")
	asked.Repeat = true
	if mustAppend(t, s, asked); mustFind(t, s, "chat:asked").Exists() {
		t.Error("SEND-6: a room was made by a question for a first result")
	}
}

// testListRooms lists by prefix, byte by byte, page by page (ROOM-11).
func testListRooms(t *testing.T, f Factory) {
	s := f.open(t)
	ids := []room.ID{"board:x", "chat:A", "chat:B", "chat:a", "chat:a-1", "chat:a.1", "chat:a:b", "chat:ab", "chat:b", "chats:a", "chat_x:a"}
	var batch []room.Send
	for _, id := range ids {
		batch = append(batch, say(id, "u1", "x"))
	}
	mustAppend(t, s, batch...)
	mustAppend(t, s, say("chat:gone", "u1", "x"))
	mustDelete(t, s, "chat:gone")
	slices.Sort(ids)
	for prefix, want := range map[string]func(room.ID) bool{
		"":         func(room.ID) bool { return true },
		"c":        func(id room.ID) bool { return id[0] == 'c' },
		"chat:":    func(id room.ID) bool { return id[:5] == "chat:" },
		"chat:a":   func(id room.ID) bool { return id[:5] == "chat:" && id[5] == 'a' },
		"chat:a:b": func(id room.ID) bool { return id == "chat:a:b" },
		"chat:z":   func(room.ID) bool { return false },
	} {
		for _, scan := range []int{1, 3, 100} {
			var got []room.ID
			var after room.ID
			for range 20 {
				page, next, err := s.(room.Rooms).List(within(t), prefix, after, scan)
				if err != nil || len(page) > scan {
					t.Fatalf("list %q: %d rooms, %v", prefix, len(page), err)
				}
				for _, r := range page {
					if r != mustFind(t, s, r.Room) {
						t.Errorf("ROOM-11: %+v is listed, it is %+v", r, mustFind(t, s, r.Room))
					}
					got = append(got, r.Room)
				}
				if after = next; next == "" {
					break
				}
			}
			if listed := slices.DeleteFunc(slices.Clone(ids), func(id room.ID) bool { return !want(id) }); !slices.Equal(got, listed) {
				t.Errorf("ROOM-11: %q lists %v, %d at a time, not %v", prefix, got, scan, listed)
			}
		}
	}
}

// testDeleteRoom ends a room: at once it is another, in which nothing of the old one is known.
func testDeleteRoom(t *testing.T, f Factory) {
	s := f.open(t)
	id, other := room.ID("chat:gone"), room.ID("chat:stays")
	fill(t, s, other, 3)
	epochs := map[room.Epoch]bool{mustHead(t, s, id).Epoch: true}
	if h, deleted := mustDelete(t, s, id); deleted || h != mustHead(t, s, id) || len(epochs) != 1 {
		t.Errorf("ROOM-10: a room that does not exist was deleted: %+v", h)
	}
	for round := range 3 {
		sends := fill(t, s, id, 8)
		odd := say(id, "u1", "rewritten")
		odd.Sent = room.FingerprintOf("message", []byte(`"before"`))
		mustAppend(t, s, odd)
		begin(t, hooksOf(t, s), "app", id.Kind(), true)
		moveHook(t, hooksOf(t, s), "app", id, nil, mustHead(t, s, id).Position(), true)
		mustPrune(t, s, id, room.Retention{Events: 5}, 2)
		given := hookAt(t, hooksOf(t, s), "app", id)
		h, deleted := mustDelete(t, s, id)
		if at := hookAt(t, hooksOf(t, s), "app", id); at != given {
			t.Errorf("HOOK-14: deleted, a hook stands at %v of a room that it was given up to %v", at, given)
		}
		if !deleted || h.Seq != 0 || h.Mark != 0 || h.Floor != 1 || h.FloorMark != 0 || epochs[h.Epoch] || h != mustHead(t, s, id) {
			t.Fatalf("ROOM-10: deleted, the room is %+v", h)
		}
		epochs[h.Epoch] = true
		if _, err := room.ParsePosition(h.Position().String()); err != nil {
			t.Errorf("ROOM-10: the epoch %q: %v", h.Epoch, err)
		}
		if r := mustFind(t, s, id); r.Exists() || r.CreatedBy != "" {
			t.Errorf("ROOM-10: deleted, the room is %+v", r)
		}
		if h2, deleted := mustDelete(t, s, id); deleted || h2 != h {
			t.Errorf("ROOM-10: deleted again: %+v, was %+v", h2, h)
		}
		asked := sends[0]
		asked.Repeat = true
		for i, v := range mustAppend(t, s, asked, sends[7], sends[0]).Verdicts {
			if v.Duplicate || v.NotStored != (i == 0) || v.Seq != room.Seq(i) {
				t.Fatalf("ROOM-10: in round %d the repeat %d of an old send is answered with %+v", round, i, v)
			}
		}
		if g := mustHead(t, s, id); g.Epoch != h.Epoch || g.Seq != 2 {
			t.Errorf("ROOM-10: the first events of the next generation: %+v", g)
		}
		if _, deleted := mustDelete(t, s, id); !deleted {
			t.Error("ROOM-10: not deleted")
		}
		epochs[mustHead(t, s, id).Epoch] = true
	}
	if len(epochs) != 7 {
		t.Errorf("ROOM-10: %d epochs of 7 generations", len(epochs))
	}
	for i, more := 0, true; more; i++ {
		out, err := s.(room.Pruner).Sweep(within(t), month, 3)
		if more = out.More; err != nil || out.Rows > 6 || i > 50 {
			t.Fatalf("sweep %d: %+v, %v", i, out, err)
		}
	}
	if events, others := f.Rows(t); events != 3 || others != 1 { // the cursor of the hook, in the next generation
		t.Errorf("ROOM-10: %d events and %d other rows are left of rooms that were deleted", events-3, others-1)
	}
	checkDense(t, mustLog(t, s, other), 1, 3)
}

// testDeleteUnderLoad deletes a room that is written over two handles: each acknowledged event is in the
// generation that its answer names, and each generation is dense.
func testDeleteUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:churn")
	var mu sync.Mutex
	acked := map[room.Epoch]map[room.Seq]room.Tag{}
	var writing atomic.Int32
	writing.Store(6)
	together(t, 8, func(i int) error {
		if i >= 6 {
			for writing.Load() > 0 {
				if _, _, err := hs[i%2].(room.Rooms).Delete(ctx, id); err != nil {
					return fmt.Errorf("delete: %w", err)
				}
				if _, err := hs[i%2].(room.Pruner).Sweep(ctx, month, 50); err != nil {
					return fmt.Errorf("sweep: %w", err)
				}
			}
			return nil
		}
		defer writing.Add(-1)
		for r := range 40 {
			batch := []room.Send{say(id, fmt.Sprint("u", i), fmt.Sprint(r)), say(id, fmt.Sprint("u", i), "b")}
			out, err := hs[i%2].Append(ctx, batch)
			if err != nil || len(out.Rooms) != 1 {
				return fmt.Errorf("append: %+v, %w", out, err)
			}
			epoch := out.Rooms[0].Head.Epoch
			mu.Lock()
			if acked[epoch] == nil {
				acked[epoch] = map[room.Seq]room.Tag{}
			}
			for j, v := range out.Verdicts {
				if old, twice := acked[epoch][v.Seq]; twice || v.Duplicate {
					mu.Unlock()
					return fmt.Errorf("I4: %s/%d is %s and %s: %+v", epoch, v.Seq, old, batch[j].Tag, v)
				}
				acked[epoch][v.Seq] = batch[j].Tag
			}
			mu.Unlock()
		}
		return nil
	})
	for epoch, events := range acked {
		for seq := room.Seq(1); seq <= room.Seq(len(events)); seq++ {
			if _, ok := events[seq]; !ok {
				t.Fatalf("ROOM-5: generation %s has %d events but no seq %d", epoch, len(events), seq)
			}
		}
	}
	head := mustHead(t, hs[0], id)
	log := mustLog(t, hs[1], id)
	checkDense(t, log, 1, len(acked[head.Epoch]))
	for _, e := range log {
		if acked[head.Epoch][e.Seq] != e.Tag {
			t.Errorf("I1: %s/%d is not the event that was acknowledged", head.Epoch, e.Seq)
		}
	}
}

// limited is a send of an author who may create so many rooms of the kind.
func limited(id room.ID, author string, limit int) room.Send {
	s := say(id, author, "x")
	s.RoomLimit = limit
	return s
}

func refusedForRooms(v room.Verdict, limit int64) bool {
	return v.Refused != nil && v.Refused.Code == room.CodeLimitExceeded && v.Refused.Field == "room" && v.Refused.Limit == limit && v.Seq == 0
}

// testRoomLimit refuses the room that is one too many, however it would come to be, and nothing else (ROOM-9).
func testRoomLimit(t *testing.T, f Factory) {
	s := f.open(t)
	out := mustAppend(t, s,
		limited("chat:1", "u1", 2), limited("chat:2", "u1", 2), limited("chat:3", "u1", 2), limited("chat:3", "u1", 2),
		limited("chat:1", "u1", 2), limited("board:1", "u1", 2), limited("chat:3", "u2", 2), limited("chat:4", "u1", 2))
	for i, want := range []room.Seq{1, 1, 0, 0, 2, 1, 1, 0} {
		if v := out.Verdicts[i]; v.Seq != want || want == 0 && !refusedForRooms(v, 2) {
			t.Errorf("ROOM-9: send %d is answered with %+v, not seq %d", i, v, want)
		}
	}
	if r := mustFind(t, s, "chat:3"); r.CreatedBy != "u2" {
		t.Errorf("ROOM-9: chat:3 is %+v, where u2 was the first who might", r)
	}
	if r := mustFind(t, s, "chat:4"); r.Exists() {
		t.Errorf("ROOM-9: chat:4 is %+v, where nobody might", r)
	}
	if v := mustAppend(t, s, limited("chat:4", "u1", 2)).Verdicts[0]; !refusedForRooms(v, 2) {
		t.Errorf("ROOM-9: a third room in a batch of its own is answered with %+v", v)
	}
	if v := mustAppend(t, s, limited("chat:3", "u1", 2)).Verdicts[0]; v.Seq != 2 {
		t.Errorf("ROOM-9: a send to a room of another is answered with %+v", v)
	}
	var told *room.Error
	if _, created, err := s.(room.Rooms).Create(within(t), "chat:4", "u1", 2); created || !errors.As(err, &told) || told.Code != room.CodeLimitExceeded || told.Limit != 2 {
		t.Errorf("ROOM-9: a third room is created: %v, %v", created, err)
	}
	if _, created, err := s.(room.Rooms).Create(within(t), "chat:1", "u1", 2); created || err != nil {
		t.Errorf("ROOM-8: a room that exists is created by one who may create none: %v, %v", created, err)
	}
	if v := mustAppend(t, s, limited("chat:4", "u1", 3)).Verdicts[0]; v.Seq != 1 {
		t.Errorf("ROOM-9: a third room of three is answered with %+v", v)
	}
	mustDelete(t, s, "chat:1")
	mustDelete(t, s, "chat:2")
	if _, created, err := s.(room.Rooms).Create(within(t), "chat:2", "u1", 2); !created || err != nil {
		t.Errorf("ROOM-9: after two of three are deleted, one is created: %v, %v", created, err)
	}
	if v := mustAppend(t, s, limited("chat:1", "u1", 2)).Verdicts[0]; !refusedForRooms(v, 2) {
		t.Errorf("ROOM-9: a room that was deleted comes back beyond the limit: %+v", v)
	}
	if v := mustAppend(t, s, limited("chat:1", "u2", 2)).Verdicts[0]; v.Seq != 1 {
		t.Errorf("ROOM-9: a room that was deleted comes back: %+v", v)
	}
}

// testRoomLimitUnderLoad creates rooms of few users over two handles, by sends and by creation.
func testRoomLimitUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	const limit = 5
	var made [2]atomic.Int64
	together(t, 8, func(i int) error {
		who := i % 4 / 2
		by := fmt.Sprint("u", who)
		for r := range 4 {
			id := room.ID(fmt.Sprintf("chat:%d.%d", i, r))
			if i < 4 {
				_, created, err := hs[i%2].(room.Rooms).Create(ctx, id, by, limit)
				var told *room.Error
				if err != nil && (!errors.As(err, &told) || told.Code != room.CodeLimitExceeded) {
					return fmt.Errorf("create: %w", err)
				}
				if created {
					made[who].Add(1)
				}
				continue
			}
			another := limited(room.ID(fmt.Sprintf("chat:%d.%d", i, 9-r)), fmt.Sprint("u", 1-who), limit)
			out, err := hs[i%2].Append(ctx, []room.Send{limited(id, by, limit), another})
			if err != nil {
				return fmt.Errorf("append: %w", err)
			}
			for j, v := range out.Verdicts {
				if v.Seq == 1 {
					made[(who+j)%2].Add(1)
				} else if !refusedForRooms(v, limit) {
					return fmt.Errorf("append: %+v", v)
				}
			}
		}
		return nil
	})
	for who := range made {
		if n := made[who].Load(); n != limit {
			t.Errorf("ROOM-9: u%d created %d rooms, not %d", who, n, limit)
		}
	}
	if list, _, err := hs[0].(room.Rooms).List(ctx, "", "", 1000); err != nil || len(list) != 2*limit {
		t.Errorf("ROOM-9: %d rooms exist, not %d: %v", len(list), 2*limit, err)
	}
}
