package yjs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func seeds(f *testing.F, add func(update []byte)) {
	for _, k := range kinds {
		add(k.update)
	}
	for _, c := range compactions {
		add(c.update)
	}
	add(nil)
	// What Yjs merged of cases of TestLikeYjs, by mode and seed.
	documents, err := filepath.Glob("testdata/documents/*.update")
	if err != nil || len(documents) == 0 {
		f.Fatalf("%d documents: %v", len(documents), err)
	}
	for _, name := range documents {
		update, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(update)
	}
}

// FuzzDecode: what Validate takes, everything takes, and its normal form is one.
func FuzzDecode(f *testing.F) {
	seeds(f, func(update []byte) { f.Add(update) })
	f.Fuzz(func(t *testing.T, update []byte) {
		err := Validate(update, Limits{})
		merged, mergeErr := Merge(update)
		if err != nil {
			if mergeErr == nil && err.(*Error).Limit == 0 {
				t.Fatalf("refused by Validate alone: %v", err)
			}
			return
		}
		if again := must(Merge(merged))(t); !bytes.Equal(again, merged) {
			t.Fatalf("merged again:\n got %x\nwant %x", again, merged)
		}
		if v, w := must(StateVector(update))(t).Encode(), must(StateVector(merged))(t).Encode(); !bytes.Equal(v, w) {
			t.Fatalf("state vectors %x and %x", v, w)
		}
	})
}

// FuzzMerge: two updates, and what one lacks of the other.
func FuzzMerge(f *testing.F) {
	var last []byte
	seeds(f, func(update []byte) {
		f.Add(last, update)
		last = update
	})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if Validate(a, Limits{}) != nil || Validate(b, Limits{}) != nil {
			return
		}
		ab, ba := must(Merge(a, b))(t), must(Merge(b, a))(t)
		for _, part := range [][]byte{a, b, ab, ba} {
			if !must(Contains(ab, part))(t) || !must(Contains(ba, part))(t) {
				t.Fatalf("merged lacks %x", part)
			}
		}
		missing := must(Missing(a, b))(t)
		if missing == nil {
			return
		}
		if again := must(Missing(a, missing))(t); !bytes.Equal(again, missing) {
			t.Fatalf("of what is missing, %x is missing", again)
		}
		if !must(Contains(must(Merge(a, missing))(t), b))(t) {
			t.Fatalf("with %x something is still missing", missing)
		}
	})
}

// FuzzDiff: what a reader has by its state vector, and the difference, are all.
func FuzzDiff(f *testing.F) {
	seeds(f, func(update []byte) { f.Add(update, []byte{2, 7, 1, 9, 3}) })
	f.Fuzz(func(t *testing.T, update, vector []byte) {
		v, err := DecodeVector(vector)
		if err != nil || Validate(update, Limits{}) != nil {
			return
		}
		diff := must(Diff(update, vector))(t)
		if again := must(Diff(diff, v.Encode()))(t); !bytes.Equal(again, diff) {
			t.Fatalf("the difference again:\n got %x\nwant %x", again, diff)
		}
		s := scan{}
		for client, known := range v.ranges() {
			s.runs = append(s.runs, run{id: id{client, 0}, end: known[0].end, count: 1, bytes: appendUint([]byte{kindGC}, known[0].end)})
		}
		w := s.merge(nil)
		if have := w.finish(nil); !must(Contains(must(Merge(have, diff))(t), update))(t) {
			t.Fatalf("%x and %x are not all", have, diff)
		}
	})
}

// FuzzCompact: compacted once is compacted, and lacks nothing.
func FuzzCompact(f *testing.F) {
	seeds(f, func(update []byte) { f.Add(update) })
	f.Fuzz(func(t *testing.T, update []byte) {
		if Validate(update, Limits{}) != nil {
			return
		}
		compact := must(Compact(update))(t)
		if again := must(Compact(compact))(t); !bytes.Equal(again, compact) {
			t.Fatalf("compacted again:\n got %x\nwant %x", again, compact)
		}
		if !must(Contains(compact, update))(t) {
			t.Fatalf("%x lacks something", compact)
		}
		if v, w := must(StateVector(update))(t).Encode(), must(StateVector(compact))(t).Encode(); !bytes.Equal(v, w) {
			t.Fatalf("state vectors %x and %x", v, w)
		}
		if len(compact) > 32*len(update) {
			t.Fatalf("%d bytes became %d", len(update), len(compact))
		}
	})
}
