package sqlite

import (
	"fmt"
	"os"
	"strings"
)

// record is what the lock file beside the database remembers of it: the database itself cannot, since a
// restore takes it back as a whole.
type record struct {
	opened      [2]string // what meta.opened may be; the second only while the database is being opened
	generations int64     // of all rooms together
	heads       int64     // likewise
}

const (
	recordForm = "roomlog 1 opened %s %s generations %d heads %d"
	recordSize = 160 // padded, so that one write puts it in place of another
	noOpening  = "-"
)

// readRecord gives nil where there is none, as beside a copy, or none that can be read.
func readRecord(lock *os.File) *record {
	var text [recordSize]byte
	if n, err := lock.ReadAt(text[:], 0); n < recordSize || err != nil {
		return nil
	}
	var r record
	n, err := fmt.Sscanf(strings.TrimSpace(string(text[:])), recordForm, &r.opened[0], &r.opened[1], &r.generations, &r.heads)
	if err != nil || n != 4 {
		return nil
	}
	return &r
}

// write puts r in place of the last record. It is not synced: after a power cut an older record of this
// opening stands, which the database is not behind.
func (r record) write(lock *os.File) error {
	for i := range r.opened {
		if r.opened[i] == "" {
			r.opened[i] = noOpening
		}
	}
	text := fmt.Sprintf(recordForm, r.opened[0], r.opened[1], r.generations, r.heads)
	_, err := fmt.Fprintf(&placed{lock}, "%-*s\n", recordSize-1, text)
	return err
}

// syncFile makes a file durable; tests of power cuts watch it.
var syncFile = (*os.File).Sync

// placed writes at the beginning of a file.
type placed struct{ file *os.File }

func (p *placed) Write(b []byte) (int, error) { return p.file.WriteAt(b, 0) }
