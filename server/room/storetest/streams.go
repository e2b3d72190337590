package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

const (
	leased = time.Minute
	ended  = -time.Second // a lease that ends before it begins
)

// streaming is two handles on one database that keeps streams.
func (f Factory) streaming(t *testing.T) (logs [2]room.Store, a, b room.Streams) {
	t.Helper()
	logs = f.pair(t)
	for _, s := range logs {
		if _, ok := s.(room.Streams); !ok {
			t.Fatalf("%T keeps no streams", s)
		}
	}
	return logs, logs[0].(room.Streams), logs[1].(room.Streams)
}

// mustOpen begins a stream, stores its message and binds it.
func mustOpen(t *testing.T, s room.Store, send room.Send, lease time.Duration) room.Stream {
	t.Helper()
	streams := s.(room.Streams)
	must(t, "begin", streams.BeginStream(within(t), room.Stream{Room: send.Room, Author: send.Author, Tag: send.Tag, Base: len(send.Data)}, lease))
	seq := mustAppend(t, s, send).Verdicts[0].Seq
	m, found, err := streams.BindStream(within(t), send.Room, send.Author, send.Tag, lease)
	want := room.Stream{Room: send.Room, Author: send.Author, Tag: send.Tag, Seq: seq, Base: len(send.Data)}
	if err != nil || !found || m != want {
		t.Fatalf("PART-1: bound is %+v (%v, %v), want %+v", m, found, err, want)
	}
	return m
}

func openStreams(t *testing.T, s room.Streams, seq room.Seq, ids ...room.ID) []room.Stream {
	t.Helper()
	list, err := s.FindStreams(within(t), ids, seq)
	must(t, "find streams", err)
	slices.SortFunc(list, func(a, b room.Stream) int {
		return strings.Compare(fmt.Sprint(a.Room, a.Seq), fmt.Sprint(b.Room, b.Seq))
	})
	return list
}

func keep(t *testing.T, s room.Streams, pieces ...room.Piece) []room.Kept {
	t.Helper()
	out, err := s.KeepStreams(within(t), pieces, leased)
	must(t, "keep", err)
	return out
}

// testStreams: text that follows what is kept is kept, whichever handle kept the rest, and nothing else is (PART-4).
func testStreams(t *testing.T, f Factory) {
	logs, a, b := f.streaming(t)
	x, y := room.ID("chat:x"), room.ID("chat:y")
	fill(t, logs[0], y, 3)
	mx := mustOpen(t, logs[0], say(x, "u1", "one"), leased)
	my := mustOpen(t, logs[1], say(y, "u2", "two"), leased)
	ids := []room.ID{x, y, "chat:none"}
	if got := openStreams(t, b, 0, ids...); !slices.Equal(got, []room.Stream{mx, my}) {
		t.Errorf("open are %+v", got)
	}
	piece := func(m room.Stream, from int, text string) room.Piece {
		return room.Piece{Room: m.Room, Seq: m.Seq, From: from, Text: text}
	}
	got := keep(t, a, piece(mx, 0, "ü \"1\""), piece(my, 0, ""), room.Piece{Room: "chat:none", Seq: 1}, room.Piece{Room: y, Seq: 1})
	if want := []room.Kept{{Found: true, Done: true, Bytes: 6}, {Found: true, Done: true}, {}, {}}; !slices.Equal(got, want) {
		t.Errorf("kept %+v, want %+v", got, want)
	}
	got = keep(t, b, piece(mx, 0, "again"), piece(my, 0, "yy"))
	if want := []room.Kept{{Found: true, Bytes: 6}, {Found: true, Done: true, Bytes: 2}}; !slices.Equal(got, want) {
		t.Errorf("PART-4: kept %+v, want %+v", got, want)
	}
	if got := keep(t, b, piece(mx, 6, "\n2")); got[0] != (room.Kept{Found: true, Done: true, Bytes: 8}) {
		t.Errorf("kept %+v", got)
	}
	mx.Text, my.Text = "ü \"1\"\n2", "yy"
	if got := openStreams(t, a, 0, ids...); !slices.Equal(got, []room.Stream{mx, my}) {
		t.Errorf("open are %+v", got)
	}
	if got := openStreams(t, a, mx.Seq, x); !slices.Equal(got, []room.Stream{mx}) {
		t.Errorf("open is %+v", got)
	}
	if got := append(openStreams(t, a, mx.Seq+1, x), openStreams(t, a, 0)...); len(got) > 0 {
		t.Errorf("open are %+v", got)
	}
	// Of pieces that are kept at the same place at once one is.
	var wg sync.WaitGroup
	var done [8]bool
	for i := range done {
		s := []room.Streams{a, b}[i%2]
		wg.Go(func() {
			out, err := s.KeepStreams(t.Context(), []room.Piece{piece(my, 2, fmt.Sprint(i))}, leased)
			done[i] = err == nil && out[0].Done
		})
	}
	wg.Wait()
	if n := len(openStreams(t, a, 0, y)[0].Text); n != 3 || !slices.Contains(done[:], true) {
		t.Errorf("PART-4: of eight at a time %v are kept: %d bytes", done, n)
	}
}

// testStreamsOver: a stream that is over takes nothing more and is told as it is, until it is forgotten; a repeat opens it again only
// where nothing says how it ended (PART-6).
func testStreamsOver(t *testing.T, f Factory) {
	logs, a, b := f.streaming(t)
	x := room.ID("chat:x")
	send := say(x, "u1", "one")
	m := mustOpen(t, logs[0], send, leased)
	keep(t, a, room.Piece{Room: x, Seq: m.Seq, Text: "abc"})
	m.Text, m.Over = "abc", true
	for range 2 {
		got, found, err := b.CloseStream(within(t), x, m.Seq, leased)
		if err != nil || !found || got != m {
			t.Errorf("closed is %+v (%v, %v), want %+v", got, found, err, m)
		}
	}
	if _, found, err := a.CloseStream(within(t), x, m.Seq+1, leased); found || err != nil {
		t.Errorf("closed what there is not: %v, %v", found, err)
	}
	if got := keep(t, a, room.Piece{Room: x, Seq: m.Seq, From: 3, Text: "d"}); got[0] != (room.Kept{Found: true, Over: true, Bytes: 3}) {
		t.Errorf("kept %+v", got)
	}
	must(t, "end", b.EndStream(within(t), x, "u1", send.Tag))
	must(t, "end again", b.EndStream(within(t), x, "u1", send.Tag))
	if got := openStreams(t, a, 0, x); len(got) > 0 {
		t.Errorf("open are %+v", got)
	}
	// The process may have died before it stored how it ended; then it may go on.
	must(t, "begin", a.BeginStream(within(t), room.Stream{Room: x, Author: "u1", Tag: send.Tag}, leased))
	if _, found, err := a.BindStream(within(t), x, "u1", send.Tag, leased); !found || err != nil {
		t.Errorf("a repeat is bound: %v, %v", found, err)
	}
	end := room.Send{Room: x, Author: "u1", Tag: send.Tag.End(), Type: room.TypeEdit, Data: []byte(`{"target":"` + send.Tag.String() + `","data":{}}`)}
	must(t, "mean", end.Mean())
	end.Change.Own = true
	mustAppend(t, logs[1], end)
	must(t, "begin", a.BeginStream(within(t), room.Stream{Room: x, Author: "u1", Tag: send.Tag}, leased))
	if got, found, err := a.BindStream(within(t), x, "u1", send.Tag, leased); found || err != nil {
		t.Errorf("PART-6: what has ended is bound: %+v, %v", got, err)
	}
	if got := openStreams(t, a, 0, x); len(got) > 0 {
		t.Errorf("PART-6: open are %+v", got)
	}
}

// testStreamsLease: a stream whose lease has ended is taken over, once, also one whose message was never stored (PART-5).
func testStreamsLease(t *testing.T, f Factory) {
	logs, a, b := f.streaming(t)
	x := room.ID("chat:x")
	due := mustOpen(t, logs[0], say(x, "u1", "due"), ended)
	mustOpen(t, logs[0], say(x, "u1", "not due"), leased)
	renewed := mustOpen(t, logs[0], say(x, "u2", "renewed"), ended)
	keep(t, b, room.Piece{Room: x, Seq: renewed.Seq})
	lost := say(x, "u1", "never stored")
	must(t, "begin", a.BeginStream(within(t), room.Stream{Room: x, Author: "u1", Tag: lost.Tag, Base: 5}, ended))
	var mu sync.Mutex
	var got []string
	var wg sync.WaitGroup
	for i := range 6 {
		s := []room.Streams{a, b}[i%2]
		wg.Go(func() {
			list, err := s.OverdueStreams(t.Context(), 10, leased)
			mu.Lock()
			defer mu.Unlock()
			for _, m := range list {
				got = append(got, fmt.Sprint(m.Room, m.Author, m.Tag, m.Seq, m.Over))
			}
			if err != nil {
				got = append(got, err.Error())
			}
		})
	}
	wg.Wait()
	slices.Sort(got)
	want := []string{fmt.Sprint(x, "u1", due.Tag, due.Seq, true), fmt.Sprint(x, "u1", lost.Tag, 0, true)}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("PART-5: taken over are %q, want %q", got, want)
	}
	if _, found, err := a.BindStream(within(t), x, "u1", lost.Tag, leased); found || err != nil {
		t.Errorf("what was not stored is bound: %v, %v", found, err)
	}
	must(t, "close", func() error { _, _, err := a.CloseStream(within(t), x, due.Seq, ended); return err }())
	if list, err := b.OverdueStreams(within(t), 10, leased); err != nil || len(list) != 1 || list[0].Seq != due.Seq {
		t.Errorf("PART-5: whose ending came to nothing is %+v, %v", list, err)
	}
}

// testStreamsOfDeleted: nothing of a stream outlives its message or its room (PART-8).
func testStreamsOfDeleted(t *testing.T, f Factory) {
	logs, a, b := f.streaming(t)
	x, y := room.ID("chat:x"), room.ID("chat:y")
	m := mustOpen(t, logs[0], say(x, "u1", "one"), leased)
	other := mustOpen(t, logs[0], say(x, "u1", "two"), leased)
	keep(t, a, room.Piece{Room: x, Seq: m.Seq, Text: "what was said in parts"})
	d := room.Send{Room: x, Author: "u1", Tag: newTag(), Type: room.TypeDelete, Data: fmt.Appendf(nil, `{"target":%d}`, m.Seq)}
	must(t, "mean", d.Mean())
	d.Change.Own = true
	mustAppend(t, logs[1], d)
	if got := openStreams(t, b, 0, x); !slices.Equal(got, []room.Stream{other}) {
		t.Errorf("PART-8: open are %+v", got)
	}
	if got := keep(t, a, room.Piece{Room: x, Seq: m.Seq, From: 22, Text: "more"}); got[0] != (room.Kept{}) {
		t.Errorf("PART-8: kept %+v", got)
	}
	must(t, "begin", a.BeginStream(within(t), room.Stream{Room: x, Author: "u1", Tag: m.Tag}, leased))
	if _, found, err := a.BindStream(within(t), x, "u1", m.Tag, leased); found || err != nil {
		t.Errorf("PART-8: a repeat is bound: %v, %v", found, err)
	}
	in := mustOpen(t, logs[0], say(y, "u1", "one"), ended)
	mustDelete(t, logs[0], y)
	if got := openStreams(t, b, 0, y); len(got) > 0 {
		t.Errorf("of a deleted room: %+v", got)
	}
	mustAppend(t, logs[0], say(y, "u1", "another"))
	if got := keep(t, a, room.Piece{Room: y, Seq: in.Seq, Text: "more"}); got[0] != (room.Kept{}) {
		t.Errorf("of a deleted room: kept %+v", got)
	}
	if list, err := a.OverdueStreams(within(t), 10, leased); err != nil || len(list) > 0 {
		t.Errorf("of a deleted room: taken over %+v, %v", list, err)
	}
	if in := f.Holds(t, []byte("what was said in parts")); len(in) > 0 {
		t.Errorf("PART-8: what was deleted is in %v", in)
	}
}
