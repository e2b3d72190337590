package torture

import (
	"math/rand/v2"
	"testing"
)

// The judge of documents is seen to fail: a document with one update less is another one, and so is one of other people's.
func TestJudgeOfPapers(t *testing.T) {
	r, err := startYjs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	sheets, err := writeSheets(r, rand.New(rand.NewPCG(1, 2)), 1, 40)
	if err != nil {
		t.Fatal(err)
	}
	long, other := sheets[len(sheets)-1].updates, sheets[0].updates
	shuffled := append([][]byte{long[3], long[9]}, long...)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	faults, err := r.unlike(long, [][][]byte{long, shuffled, long[:len(long)-1], long[1:], append(other, long...), nil})
	if err != nil {
		t.Fatal(err)
	}
	for i, wrong := range []bool{false, false, true, true, true, true} {
		if (faults[i] != "") != wrong {
			t.Errorf("document %d: %.300q", i, faults[i])
		}
	}
}
