package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
)

// secret is a message that is deleted while everybody looks.
type secret struct {
	message, edited room.Send
	verdict, change room.Verdict
	gone            atomic.Bool // its delete was acknowledged
}

// testChangesUnderLoad deletes messages over two handles beside repeats of their sends and beside reads: what is acknowledged as deleted
// is in no read that begins afterwards, nor in an answer; one snapshot never shows a delete and what it deleted (CHG-7, I4).
func testChangesUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:load")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const deleters, each = 4, 10
	var mu sync.Mutex
	bySeq := map[room.Seq]*secret{} // of messages and of their edits
	var all []*secret
	var busy atomic.Int32
	busy.Store(deleters)
	together(t, deleters+4, func(i int) error {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		switch {
		case i < deleters:
			defer busy.Add(-1)
			for r := range each {
				s, err := tell(ctx, hs[i%2], id, fmt.Sprint("u", i), r)
				if err != nil {
					return err
				}
				mu.Lock()
				all = append(all, s)
				bySeq[s.verdict.Seq], bySeq[s.change.Seq] = s, s
				mu.Unlock()
				if err := s.delete(ctx, hs[(i+r)%2], id, rnd); err != nil {
					return err
				}
			}
			return nil
		case i < deleters+2:
			for busy.Load() > 0 {
				mu.Lock()
				var s *secret
				if len(all) > 0 {
					s = all[rnd.IntN(len(all))]
				}
				mu.Unlock()
				if s == nil {
					continue
				}
				if err := s.again(ctx, hs[i%2]); err != nil {
					return err
				}
			}
			return nil
		}
		for busy.Load() > 0 {
			mu.Lock()
			gone := map[room.Seq]bool{}
			for seq, s := range bySeq {
				if s.gone.Load() {
					gone[seq] = true
				}
			}
			mu.Unlock()
			q := room.Query{Room: id, Anchor: room.Anchor(rnd.IntN(4)), Seq: rnd.Int64N(3*each*deleters + 2), Limit: 1 + rnd.IntN(1000), Present: rnd.IntN(2) == 0}
			if err := lookFor(ctx, hs[i%2], q, gone); err != nil {
				return err
			}
		}
		return nil
	})
	log := mustLog(t, hs[0], id)
	checkDense(t, log, 1, 3*deleters*each)
	for _, e := range log {
		if (e.Gone != nil) != (e.Type != room.TypeDelete) || e.Gone != nil && string(e.Data) != "null" {
			t.Fatalf("CHG-7: in the end event %d, a %s, is %+v", e.Seq, e.Type, e)
		}
	}
	checkNowhere(t, f, "in the end", "canary")
	if b := f.Beside(t); b != (Beside{Redactions: 2 * deleters * each}) {
		t.Errorf("CHG-7: in the end %+v is kept beside events", b)
	}
}

// tell stores a message and an edit of it.
func tell(ctx context.Context, st room.Store, id room.ID, author string, n int) (*secret, error) {
	s := &secret{message: say(id, author, fmt.Sprint("canary ", n))}
	s.message.Mentions = []string{"u1"}
	s.edited = ofTag(edit(id, author, 0, fmt.Sprint("canary edit ", n)), s.message.Tag)
	out, err := st.Append(ctx, []room.Send{s.message, s.edited, ofTag(react(id, author, 0, "👍"), newTag())})
	if err != nil {
		return nil, err
	}
	s.verdict, s.change = out.Verdicts[0], out.Verdicts[1]
	if s.verdict.Refused != nil || s.change.Target != s.verdict.Seq || out.Verdicts[2].Refused == nil {
		return nil, fmt.Errorf("CHG-2: a message, an edit of it, and a reaction to nothing are answered with %+v", out.Verdicts)
	}
	return s, nil
}

// delete deletes the message, by its seq or its tag.
func (s *secret) delete(ctx context.Context, st room.Store, id room.ID, rnd *rand.Rand) error {
	del := erase(id, s.message.Author, s.verdict.Seq)
	if rnd.IntN(2) == 0 {
		del = ofTag(del, s.message.Tag)
	}
	twice := byModerator(erase(id, "mod", s.verdict.Seq))
	batch := []room.Send{del, s.message, twice}
	out, err := st.Append(ctx, batch)
	if err != nil {
		return err
	}
	s.gone.Store(true)
	v := out.Verdicts
	if v[0].Target != s.verdict.Seq || v[1].Gone == nil || v[1].Gone.Seq != v[0].Seq || !refusedAs(v[2], room.UnknownTarget()) {
		return fmt.Errorf("CHG-7: a delete, a repeat of what it deleted, and a second delete are answered with %+v", v)
	}
	return nil
}

// again sends the message and its edit again.
func (s *secret) again(ctx context.Context, st room.Store) error {
	gone := s.gone.Load()
	out, err := st.Append(ctx, []room.Send{s.message, s.edited})
	if err != nil {
		return err
	}
	for i, first := range []room.Verdict{s.verdict, s.change} {
		v := out.Verdicts[i]
		if !v.Duplicate || v.Seq != first.Seq || v.Mark != first.Mark || v.Target != first.Target || gone && v.Gone == nil {
			return fmt.Errorf("TAG-3: deleted: %t, the repeat of %+v is answered with %+v", gone, first, v)
		}
	}
	if v := out.Verdicts; (v[0].Gone == nil) != (v[1].Gone == nil) {
		return fmt.Errorf("CHG-7: a message and its edit are answered with %+v", v)
	}
	return nil
}

// lookFor reads a page and fails where it shows what was deleted before the read began, or by a delete of the same page.
func lookFor(ctx context.Context, s room.Store, q room.Query, gone map[room.Seq]bool) error {
	p, err := s.Read(ctx, q)
	if err != nil {
		return err
	}
	for _, e := range p.Events {
		if e.Type == room.TypeDelete {
			gone[e.Target] = true
		}
	}
	for _, e := range p.Events {
		switch {
		case (e.Gone != nil) != (string(e.Data) == "null"), e.Gone != nil && (e.Edited != nil || e.Reactions != nil || e.Gone.Seq > p.Head.Seq):
			return fmt.Errorf("CHG-7: %+v reads %+v with %s, and as deleted %+v", q, e, e.Data, e.Gone)
		case gone[e.Seq] && e.Gone == nil, e.Type == room.TypeEdit && gone[e.Target] && e.Gone == nil:
			return fmt.Errorf("CHG-7: %+v reads %s of event %d, which was deleted", q, e.Data, e.Seq)
		}
	}
	return nil
}

// testReactionsUnderLoad has many users react to one message, and moderators edit and at last delete it, over two handles: each user
// counts once, one of the deletes is stored, and nothing comes behind it (CHG-3, CHG-6).
func testReactionsUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:many")
	fill(t, hs[0], id, 1)
	together(t, writers, func(i int) error {
		user := fmt.Sprint("u", i)
		for r := range 4 {
			batch := []room.Send{react(id, user, 1, "👍"), react(id, user, 1, "👎"), takenBack(id, user, 1, "👎"), byModerator(edit(id, user, 1, user))}
			out, err := hs[(i+r)%2].Append(ctx, batch)
			if err != nil {
				return err
			}
			for _, v := range out.Verdicts {
				if v.Target != 1 || v.Refused != nil {
					return fmt.Errorf("CHG-1: %+v", v)
				}
			}
		}
		return nil
	})
	e := present(t, hs[1], id)[0]
	if len(e.Reactions) != 1 || e.Reactions[0].Emoji != "👍" || e.Reactions[0].Count != writers || len(e.Reactions[0].Users) != room.MaxReactors {
		t.Errorf("CHG-6: %d users reacted: %+v", writers, e.Reactions)
	}
	log := mustLog(t, hs[0], id)
	checkDense(t, log, 1, 1+16*writers)
	if last := log[len(log)-1]; e.Edited == nil || e.Edited.Seq != last.Seq || string(e.Data) != string(fmt.Appendf(nil, `{"text":%q}`, last.Author)) {
		t.Errorf("CHG-5: the last edit is %d by %s, it reads %s", last.Seq, last.Author, e.Data)
	}
	var stored atomic.Int64
	together(t, writers, func(i int) error {
		out, err := hs[i%2].Append(ctx, []room.Send{byModerator(erase(id, fmt.Sprint("u", i), 1)), react(id, "u1", 1, "👍"), byModerator(edit(id, "u1", 1, "late"))})
		if err != nil {
			return err
		}
		if out.Verdicts[0].Refused == nil {
			stored.Add(1)
		}
		for _, v := range out.Verdicts[1:] {
			if !refusedAs(v, room.UnknownTarget()) {
				return fmt.Errorf("CHG-3: a change behind a delete is answered with %+v", v)
			}
		}
		return nil
	})
	if n := stored.Load(); n != 1 {
		t.Errorf("CHG-3: %d deletes of one message were stored", n)
	}
	if b := f.Beside(t); b != (Beside{Redactions: 1 + 4*writers}) {
		t.Errorf("CHG-7: %+v is kept beside events", b)
	}
}
