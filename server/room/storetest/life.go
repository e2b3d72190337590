package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
)

// checkRefusal fails unless err is an answer that a caller can act on: a retry is safe.
func checkRefusal(err error) error {
	var e *room.Error
	if errors.Is(err, room.ErrOutcomeUnknown) || errors.As(err, &e) && e.Retryable() {
		return nil
	}
	return fmt.Errorf("SEND-4: refused as %w, which is neither retryable nor of unknown outcome", err)
}

// testCancel ends contexts before and during appends: whatever the answer was, the same batch gives the
// same event afterwards, and no seq is lost.
func testCancel(t *testing.T, f Factory) {
	hs := f.pair(t)
	id := room.ID("chat:cancel")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hs[0].Append(ended, []room.Send{say(id, "u1", "never")}); err == nil {
		t.Error("an append whose context had ended was carried out")
	} else if err := checkRefusal(err); err != nil || errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("an append whose context had ended: %v", err)
	}
	if _, err := hs[0].Read(ended, room.Query{Room: id, Limit: 1}); err == nil {
		t.Error("a read whose context had ended was carried out")
	}
	if _, err := hs[0].Heads(ended, []room.ID{id}); err == nil {
		t.Error("heads were read although the context had ended")
	}
	var stored atomic.Int64
	together(t, 16, func(i int) error {
		for range rounds {
			batch := []room.Send{say(id, fmt.Sprint("u", i), "a"), say(id, fmt.Sprint("u", i), "b")}
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				_, err := hs[i%2].Append(ctx, batch)
				result <- err
			}()
			cancel()
			if err := <-result; err != nil {
				if err := checkRefusal(err); err != nil {
					return err
				}
			}
			out, err := hs[(i+1)%2].Append(within(t), batch)
			if err != nil {
				return fmt.Errorf("append again: %w", err)
			}
			if a, b := out.Verdicts[0], out.Verdicts[1]; b.Seq != a.Seq+1 || a.Mark != b.Mark {
				return fmt.Errorf("I1: a batch was stored in parts: %+v, %+v", a, b)
			}
			stored.Add(2)
		}
		return nil
	})
	checkDense(t, mustLog(t, hs[0], id), 1, int(stored.Load()))
	checkRows(t, f, id, int(stored.Load()))
}

// testClose closes a handle with calls in flight, from several goroutines: calls end with an answer or a
// refusal, what was acknowledged is stored, and later calls are refused.
func testClose(t *testing.T, f Factory) {
	s := f.Open(t)
	id := room.ID("chat:close")
	fill(t, s, id, 1)
	begun := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	var acked atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				begun <- struct{}{}
				if _, err := s.Append(t.Context(), []room.Send{say(id, fmt.Sprint("u", i), "x")}); err != nil {
					if err := checkRefusal(err); err != nil {
						t.Error(err)
					}
					return
				}
				acked.Add(1)
			}
		})
	}
	for range 30 {
		<-begun
	}
	together(t, 3, func(int) error { return s.Close() })
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if _, err := s.Append(t.Context(), []room.Send{say(id, "u1", "late")}); err == nil || checkRefusal(err) != nil {
		t.Errorf("an append after Close: %v", err)
	}
	if _, err := s.Read(t.Context(), room.Query{Room: id, Limit: 1}); err == nil {
		t.Error("a read after Close gave no error")
	}
	if _, err := s.Heads(t.Context(), []room.ID{id}); err == nil {
		t.Error("heads after Close gave no error")
	}
	if s.Info().Name == "" {
		t.Error("Info after Close is empty")
	}
	again := f.open(t)
	log := mustLog(t, again, id)
	checkDense(t, log, 1, len(log))
	if len(log) < 1+int(acked.Load()) {
		t.Errorf("I1: %d events after Close, %d were acknowledged", len(log), 1+acked.Load())
	}
}

// testReopen closes and opens the database: everything is as it was, tags and marks included (TAG-7).
func testReopen(t *testing.T, f Factory) {
	s := f.Open(t)
	id := room.ID("chat:reopen")
	sends := fill(t, s, id, 20)
	log, head, info := mustLog(t, s, id), mustHead(t, s, id), s.Info()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s = f.open(t)
	if again := s.Info(); again != info || info.Name == "" || info.Version == "" || info.Durability != "full" {
		t.Errorf("I24: the store describes itself as %+v, before as %+v", again, info)
	}
	if again := mustHead(t, s, id); again != head {
		t.Errorf("the head is %+v after reopening, it was %+v", again, head)
	}
	for i, e := range mustLog(t, s, id) {
		if !sameEvent(e, log[i]) {
			t.Fatalf("ROOM-7: event %d is %+v after reopening, it was %+v", i+1, e, log[i])
		}
	}
	for i, v := range mustAppend(t, s, sends...).Verdicts {
		if !v.Duplicate || v.Seq != log[i].Seq || v.Mark != log[i].Mark || !v.At.Equal(log[i].At) {
			t.Fatalf("TAG-7: the repeat of event %d after reopening is answered with %+v", i+1, v)
		}
	}
	if out := mustAppend(t, s, say(id, "u1", "next")); out.Verdicts[0].Seq != head.Seq+1 || out.Rooms[0].BeforeMark != head.Mark {
		t.Errorf("PAGE-6: the first append after reopening gives %+v", out)
	}
}
