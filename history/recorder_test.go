package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestRecorderAndReader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h.jsonl")
	r, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	call := r.Invoke(Line{Client: "w", Room: testRoom, Author: "w", Tag: "t1", PayloadHash: Hash([]byte(`{"a": 1}`)), Order: 1})
	onDisk, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(onDisk, []byte(`"op":"invoke"`)) {
		t.Errorf("an invoke is with the operating system before it returns: %q, %v", onDisk, err)
	}
	call.OK(testEpoch, 1)
	r.Invoke(Line{Client: "w", Tag: "t2"}).Fail("rate_limited")
	r.Invoke(Line{Client: "w", Tag: "t3"}).Unknown("")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	lines, stats, err := read([]string{file})
	if err != nil || len(lines) != 6 || stats[0].Lines != 6 || stats[0].Torn != 0 {
		t.Fatalf("%d lines, %+v, %v", len(lines), stats, err)
	}
	ok := lines[1]
	if ok.Result != OK || ok.Seq != 1 || ok.TEnd < ok.TMono || ok.TMono != lines[0].TMono || ok.no != 2 {
		t.Errorf("ack %+v after %+v", ok, lines[0])
	}
	if lines[3].Result != Fail || lines[3].Code != "rate_limited" || lines[5].Result != Unknown {
		t.Errorf("fail %+v, unknown %+v", lines[3], lines[5])
	}
}

func TestRecorderKeepsItsFirstError(t *testing.T) {
	r := NewRecorder(fullDisk{})
	r.Add(Line{Op: OpQuiet})
	if err := r.Flush(); err == nil {
		t.Error("Flush to a full disk")
	}
	if err := r.Close(); err == nil {
		t.Error("Close after a write that failed")
	}
	r = NewRecorder(&bytes.Buffer{})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Add(Line{Op: OpQuiet})
	if err := r.Close(); err == nil {
		t.Error("a line after Close went unnoticed")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, fmt.Errorf("no space left") }

// TestTornLines: kill -9 leaves half a line at the end, and the next process goes on in the same file.
func TestTornLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h.jsonl")
	if err := os.WriteFile(file, []byte(`{"t_mono":1,"client":"w","op":"quiet"}`+"\n"+`{"t_mono":2,"client":"w","op":"se`), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	r.Add(Line{Client: "w", Op: OpQuiet})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	lines, stats, err := read([]string{file})
	if err != nil || len(lines) != 2 || stats[0] != (File{Name: file, Lines: 2, Torn: 1}) || lines[1].no != 3 {
		t.Errorf("%d lines, %+v, %v", len(lines), stats, err)
	}
}

func TestNotAHistory(t *testing.T) {
	for text, want := range map[string]string{
		"{\"op\":\"quiet\"}\nhello\n": ":2: invalid character",
		`{"op":"dance"}`:              `:1: unknown op "dance"`,
		`{"op":"quiet","seq":"one"}`:  ":1: json",
		"\n\n[1]":                     ":3: json",
	} {
		file := filepath.Join(t.TempDir(), "h.jsonl")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Check([]string{file}); err == nil || !strings.Contains(err.Error(), file+want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
	if _, err := Check([]string{filepath.Join(t.TempDir(), "missing")}); err == nil {
		t.Error("a missing file was judged")
	}
}

func TestRecorderIsConcurrent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h.jsonl")
	r, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				r.Invoke(Line{Client: fmt.Sprint(i), Tag: fmt.Sprint(j)}).OK(testEpoch, int64(j))
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if lines, stats, err := read([]string{file}); err != nil || len(lines) != 8*200*2 || stats[0].Torn != 0 {
		t.Errorf("%d lines, %+v, %v", len(lines), stats, err)
	}
}

func TestHash(t *testing.T) {
	if Hash([]byte(`{ "text" : "hi" }`)) != Hash([]byte(`{"text":"hi"}`)) {
		t.Error("insignificant space counts")
	}
	if Hash([]byte(`{"text":"hi"}`)) != "e7b995efa755c5ff" { // printf %s '{"text":"hi"}' | sha256sum
		t.Errorf("hash %s", Hash([]byte(`{"text":"hi"}`)))
	}
	if len(Hash([]byte("not json"))) != 16 {
		t.Error("what is not JSON has a hash too")
	}
}

// writeStory puts a story into a file.
func writeStory(t testing.TB, s *story) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "story.jsonl")
	r, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	r.Add(s.lines...)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRun(t *testing.T) {
	var out strings.Builder
	file := writeStory(t, good())
	ok, err := Run(&out, []string{file}, "I1", "I8")
	if err != nil || !ok || !strings.Contains(out.String(), file+": ") || !strings.Contains(out.String(), "I13") {
		t.Errorf("%v, %v:\n%s", ok, err, &out)
	}
	s := good()
	s.drop(t, delivered("r1", 4))
	file = writeStory(t, s)
	out.Reset()
	ok, err = Run(&out, []string{file})
	if err != nil || ok || !strings.Contains(out.String(), "r1 in chat:a: a page after seq 4 for a cursor at 3: a hole") || !strings.Contains(out.String(), file+":2") {
		t.Errorf("%v, %v:\n%s", ok, err, &out)
	}
	if _, err := Run(&out, []string{file}, "I77"); err == nil {
		t.Error("an unknown invariant was required")
	}
	v, err := Check([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	var back Verdict
	if err := v.JSON(&out); err != nil || json.Unmarshal([]byte(out.String()), &back) != nil || len(back.Results) != len(Invariants()) {
		t.Errorf("%v\n%s", err, &out)
	}
}
