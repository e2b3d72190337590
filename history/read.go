package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
)

// File is what the reader found in one file.
type File struct {
	Name  string `json:"name"`
	Lines int    `json:"lines"`
	Torn  int    `json:"torn"` // lines that a killed process left half written, not counted in Lines
}

// batchSize is how many bytes of lines one worker parses at a time.
const batchSize = 1 << 20

// read parses the files. A torn line is counted; any other line that is not one of ours is an error.
func read(files []string) ([]Line, []File, error) {
	var batches []*batch
	stats := make([]File, len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read the history: %w", err)
		}
		stats[i].Name = name
		batches = append(batches, split(text, int32(i))...)
	}
	parse(batches, files)
	total := 0
	for _, b := range batches {
		if b.err != nil {
			return nil, nil, b.err
		}
		stats[b.file].Lines += len(b.lines)
		stats[b.file].Torn += b.torn
		total += len(b.lines)
	}
	lines := make([]Line, 0, total) // a Line is large: growing would copy more than it parses
	for _, b := range batches {
		lines = append(lines, b.lines...)
		b.lines = nil
	}
	return lines, stats, nil
}

// batch is a run of whole lines of a file.
type batch struct {
	text  []byte
	file  int32
	first int32 // number of its first line
	count int32 // newlines in it
	lines []Line
	torn  int
	err   error
}

// split cuts the text of a file into batches.
func split(text []byte, file int32) []*batch {
	var batches []*batch
	for first := int32(1); len(text) > 0; {
		end := len(text)
		if end > batchSize {
			if i := bytes.IndexByte(text[batchSize:], '\n'); i >= 0 {
				end = batchSize + i + 1
			}
		}
		b := &batch{text: text[:end], file: file, first: first, count: int32(bytes.Count(text[:end], []byte("\n")))}
		batches = append(batches, b)
		first += b.count
		text = text[end:]
	}
	return batches
}

// parse parses the batches on all processors.
func parse(batches []*batch, files []string) {
	work := make(chan *batch)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			known := interner{}
			for b := range work {
				b.parse(files[b.file], known)
			}
		})
	}
	for _, b := range batches {
		work <- b
	}
	close(work)
	workers.Wait()
}

func (b *batch) parse(name string, known interner) {
	b.lines = make([]Line, 0, b.count+1)
	no := b.first - 1
	for text := range bytes.Lines(b.text) {
		no++
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		l := Line{file: b.file, no: no}
		err := json.Unmarshal(text, &l)
		switch {
		case err == nil && known.op(l.Op):
			known.intern(&l)
			b.lines = append(b.lines, l)
		case err == nil:
			b.err = fmt.Errorf("%s:%d: unknown op %q", name, no, l.Op)
			return
		case isTorn(text):
			b.torn++
		default:
			b.err = fmt.Errorf("%s:%d: %w", name, no, err)
			return
		}
	}
}

// isTorn reports whether text is the beginning of a JSON object.
func isTorn(text []byte) bool {
	if text[0] != '{' {
		return false
	}
	var any json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&any), io.ErrUnexpectedEOF)
}

// interner keeps one copy of each string: a history says the same few over and over.
type interner map[string]string

func (known interner) op(op Op) bool { return slices.Contains(ops, op) }

func (known interner) one(s string) string {
	if s == "" {
		return ""
	}
	if k, ok := known[s]; ok {
		return k
	}
	known[s] = s
	return s
}

func (known interner) intern(l *Line) {
	for _, s := range []*string{&l.Client, &l.Node, &l.Transport, &l.Room, &l.Epoch, &l.Author, &l.Tag, &l.PayloadHash, &l.Sub, &l.Code, &l.Reason} {
		*s = known.one(*s)
	}
	l.Op, l.Via, l.Result = Op(known.one(string(l.Op))), Via(known.one(string(l.Via))), Outcome(known.one(string(l.Result)))
}
