package yjs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// reference is npm yjs, in one process for many cases (testdata/reference.mjs).
type reference struct {
	in  io.Writer
	out *bufio.Reader
}

func newReference(t *testing.T) *reference {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "testdata/reference.mjs")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: this compares with npm yjs; install Node and run `npm ci` in the root folder", err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &reference{in, bufio.NewReaderSize(out, 1<<20)}
}

func (r *reference) ask(t *testing.T, question, answer any) {
	t.Helper()
	line, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.in.Write(append(line, '\n')); err != nil {
		t.Fatalf("ask npm yjs (run `npm ci` in the root folder if it is not there): %v", err)
	}
	line, err = r.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("npm yjs did not answer (run `npm ci` in the root folder if it is not there): %v", err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		t.Fatal(err)
	}
}

type answers struct {
	Merged       []byte `json:"merged"`
	MergedVector []byte `json:"mergedVector"`
	Diff         []byte `json:"diff"`
	Compact      []byte `json:"compact"`
	Missing      []byte `json:"missing"`
	Part         []byte `json:"part"`
	Served       []byte `json:"served"`
}

// TestLikeYjs compares with npm yjs. YJS_CASES says how many documents, YJS_SEED where to begin: the seed of a case
// that failed, alone, is YJS_CASES=1 YJS_SEED=n.
func TestLikeYjs(t *testing.T) {
	cases, seed := number(t, "YJS_CASES", 240), number(t, "YJS_SEED", 1)
	t.Logf("%d cases from seed %d", cases, seed)
	r := newReference(t)
	t.Run("random", func(t *testing.T) {
		compact, full := 0, 0
		for i := seed; i < seed+cases && !t.Failed(); i++ {
			a, b := likeYjs(t, r, i)
			compact, full = compact+a, full+b
		}
		small(t, compact, full)
	})
	t.Run("typed", func(t *testing.T) { typed(t, r, seed) })
	t.Run("changed", func(t *testing.T) { changed(t, r, seed, 1+cases/50) })
}

// small checks that what was compacted has at most 1.1 times the bytes of full documents.
func small(t *testing.T, compact, full int) {
	t.Helper()
	t.Logf("compacted %d bytes, full documents %d", compact, full)
	if compact*10 > full*11 {
		t.Error("compacted updates have more than 1.1 times the bytes of full documents")
	}
}

func likeYjs(t *testing.T, r *reference, seed int) (compact, full int) {
	var c struct {
		Mode                                     string
		Updates                                  [][]byte
		Half                                     int
		Vector, Merged, MergedVector, MergedDiff []byte
	}
	r.ask(t, map[string]int{"make": seed}, &c)
	defer func() {
		if t.Failed() {
			t.Logf("this was seed %d, %s", seed, c.Mode)
		}
	}()
	for _, u := range c.Updates {
		if err := Validate(u, Limits{}); err != nil {
			t.Errorf("seed %d, %s: refused: %v\n%x", seed, c.Mode, err, u)
		}
	}
	a, rest := answer(t, c.Updates, c.Half, c.Vector)
	same := func(what string, got, want []byte) {
		if !bytes.Equal(got, want) {
			t.Errorf("seed %d, %s: %s:\n got %x\nwant %x", seed, c.Mode, what, got, want)
		}
	}
	if c.Mode[0] != 'o' || c.Mode == "ordered" { // not overlaps: which of two valid copies is taken may differ
		same("merged", a.Merged, c.Merged)
		same("state vector", a.MergedVector, c.MergedVector)
		same("diff", a.Diff, c.MergedDiff)
	}
	laws(t, seed, c.Updates, rest, a)
	return r.check(t, seed, c.Mode, a)
}

// answer makes of the updates of a case what is compared, and the merged updates behind the first half.
func answer(t *testing.T, updates [][]byte, half int, vector []byte) (a answers, rest []byte) {
	merged := must(Merge(updates...))(t)
	part := must(Merge(updates[:half]...))(t)
	rest = must(Merge(updates[half:]...))(t)
	return answers{
		Merged:       merged,
		MergedVector: must(StateVector(merged))(t).Encode(),
		Diff:         must(Diff(merged, vector))(t),
		Compact:      must(Compact(merged))(t),
		Missing:      must(Missing(part, rest))(t),
		Part:         part,
		Served:       serve(t, updates),
	}, rest
}

// serve keeps what each update adds, as a server does, and compacts now and then.
func serve(t *testing.T, updates [][]byte) []byte {
	stored := [][]byte{{0, 0}}
	e := new(Extent)
	for i, u := range updates {
		if missing := must(e.Missing(u))(t); missing != nil {
			if err := e.Add(missing); err != nil {
				t.Fatal(err)
			}
			stored = append(stored, missing)
		}
		if i%16 == 5 {
			stored = [][]byte{must(Compact(must(Merge(stored...))(t)))(t)}
		}
		if i%64 == 40 {
			e = must(ExtentOf(stored...))(t)
		}
	}
	return must(Merge(stored...))(t)
}

// check has npm yjs load the answers, and gives the size of what was compacted and of a full document of the same
// updates, which there is not if some of them are still held back.
func (r *reference) check(t *testing.T, seed int, mode string, a answers) (compact, full int) {
	t.Helper()
	var verdict struct {
		Faults []string
		Full   int
	}
	r.ask(t, map[string]any{"check": a}, &verdict)
	for _, fault := range verdict.Faults {
		t.Errorf("seed %d, %s: %s", seed, mode, fault)
	}
	if verdict.Full == 0 {
		return 0, 0
	}
	return len(a.Compact), verdict.Full
}

// typed is a long text that three people type, mark and delete in, in turns.
func typed(t *testing.T, r *reference, seed int) {
	var updates [][]byte
	r.ask(t, map[string]int{"typed": seed}, &updates)
	a, _ := answer(t, updates, 0, []byte{0})
	compact, full := r.check(t, seed, "typed", a)
	t.Logf("%d updates; merged %d bytes", len(updates), len(a.Merged))
	small(t, compact, full)
}

// changed changes bytes of real updates: what we take of them, a document of Yjs takes as well.
func changed(t *testing.T, r *reference, seed, cases int) {
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	count := 0
	for i := seed; i < seed+cases && !t.Failed(); i++ {
		var c struct{ Updates [][]byte }
		r.ask(t, map[string]int{"make": i}, &c)
		var taken [][]byte
		for range 300 {
			update := bytes.Clone(c.Updates[random.IntN(len(c.Updates))])
			for range 1 + random.IntN(3) {
				update[random.IntN(len(update))] = byte(random.IntN(256))
			}
			if Validate(update, Limits{}) == nil {
				taken = append(taken, must(Merge(update))(t))
			}
		}
		var faults []string
		r.ask(t, map[string]any{"take": taken}, &faults)
		count += len(taken)
		for i, fault := range faults {
			if fault != "" {
				t.Errorf("Yjs cannot take %x: %s", taken[i], fault)
			}
		}
	}
	t.Logf("%d changed updates were taken", count)
}

// laws checks what needs no reference.
func laws(t *testing.T, seed int, updates [][]byte, rest []byte, a answers) {
	part := a.Part
	contains := func(what string, state, update []byte, want bool) {
		if got := must(Contains(state, update))(t); got != want {
			t.Errorf("seed %d: %s: %v", seed, what, got)
		}
	}
	for _, u := range updates {
		contains("merged has each", a.Merged, u, true)
		contains("compact has each", a.Compact, u, true)
	}
	contains("the part has the rest", part, rest, a.Missing == nil)
	if a.Missing != nil {
		contains("the part has what it lacks", part, a.Missing, false)
		contains("the rest has it", rest, a.Missing, true)
		whole := must(Merge(part, a.Missing))(t)
		contains("with it, the rest is there", whole, rest, true)
	}
	again := must(Compact(a.Compact))(t)
	if !bytes.Equal(again, a.Compact) {
		t.Errorf("seed %d: compacted twice:\n got %x\nwant %x", seed, again, a.Compact)
	}
	e := new(Extent)
	for _, u := range updates {
		if err := e.Add(u); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.Vector().Encode(); !bytes.Equal(got, a.MergedVector) {
		t.Errorf("seed %d: the extent's vector is %x, not %x", seed, got, a.MergedVector)
	}
	if left := must(e.Missing(a.Merged))(t); left != nil {
		t.Errorf("seed %d: an extent of all lacks %x", seed, left)
	}
}

func number(t *testing.T, name string, or int) int {
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
