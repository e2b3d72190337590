//go:build unix

package sqlite

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// disk is the folder of a database, under a VFS of SQLite that writes down what reaches the files and what
// is synced there. From that any power cut can be made afterwards: before any operation, with whatever a
// disk may have done with what was not synced. Nothing is synced for real, which makes it quick.
type disk struct {
	dir string

	mu    sync.Mutex
	log   []deed
	found int            // of the log: what says what was there from the beginning
	names map[string]int // the files by name, as a running process sees them
	next  int
	fail  func(deed) int32 // the result code to fail with, or 0; a sync that fails has lost what was written
}

// deed is one thing that was done to a disk.
type deed struct {
	what    string // "create", "delete", "write", "truncate", "sync", "lost" (a sync that failed), "acked"
	name    string // of the file in the folder, for create and delete
	file    int
	off     int64 // of a write; the size of a truncate; the number of an ack
	data    []byte
	dirSync bool   // the folder was synced with it
	record  []byte // what the record beside the database held before it; nil: no change
}

const recordKept = "record" // a deed: the record was synced

// sector is what a disk writes whole or not at all.
const sector = 512

// attach begins to watch the folder. What is in it counts as synced.
func attach(t testing.TB, dir string) *disk {
	t.Helper()
	d := &disk{dir: dir, names: map[string]int{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == filepath.Base(base)+".lock" || e.Name() == filepath.Base(base)+"-shm" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		d.exists(e.Name(), data)
	}
	d.add(deed{what: recordKept})
	d.found = len(d.log)
	shim.Lock()
	defer shim.Unlock()
	shim.once.Do(register)
	shim.disks[dir] = d
	t.Cleanup(d.detach)
	return d
}

func (d *disk) detach() {
	shim.Lock()
	defer shim.Unlock()
	if shim.disks[d.dir] == d {
		delete(shim.disks, d.dir)
	}
}

// base is the name of the database in the folder of a disk.
const base = "roomlog.db"

// exists writes down a file that is durable with this content.
func (d *disk) exists(name string, data []byte) int {
	d.next++
	d.names[name] = d.next
	d.log = append(d.log,
		deed{what: "create", name: name, file: d.next, dirSync: true}, deed{what: "write", file: d.next, data: data}, deed{what: "sync", file: d.next})
	return d.next
}

// do writes a deed down, unless it is to fail.
func (d *disk) do(o deed) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if code := d.fail(o); code != 0 {
			if o.what == "sync" {
				o.what, o.dirSync = "lost", false
				d.add(o)
			}
			return code
		}
	}
	d.add(o)
	return 0
}

func (d *disk) add(o deed) {
	o.record = d.record()
	d.log = append(d.log, o)
}

// record is what the lock file holds, which is written beside SQLite and seen before each deed.
func (d *disk) record() []byte {
	data, err := os.ReadFile(filepath.Join(d.dir, base+".lock"))
	if err != nil {
		return nil
	}
	return append([]byte{}, data...) // never nil: an empty record is one
}

// ack writes down that number n was acknowledged.
func (d *disk) ack(n int) { d.do(deed{what: "acked", off: int64(n)}) }

// platter is what a log of deeds has made of a disk, up to some deed.
type platter struct {
	names   map[string]int // durable
	moved   []deed         // creates and deletes that are not
	files   map[int]*sectors
	records [][]byte // the first was synced, the last is the newest
	acked   int
}

type sectors struct {
	durable []byte
	pending []deed
}

func newPlatter() *platter {
	return &platter{names: map[string]int{}, files: map[int]*sectors{}, records: [][]byte{{}}}
}

// take applies the next deed.
func (p *platter) take(o deed) {
	if o.record != nil && !bytes.Equal(o.record, p.records[len(p.records)-1]) {
		p.records = append(p.records, o.record)
	}
	switch o.what {
	case "create", "delete":
		if o.what == "create" {
			p.files[o.file] = &sectors{}
		}
		p.moved = append(p.moved, o)
	case "write", "truncate":
		p.files[o.file].pending = append(p.files[o.file].pending, o)
	case "sync":
		f := p.files[o.file]
		for _, w := range f.pending {
			f.durable = w.applied(f.durable)
		}
		f.pending = nil
	case "lost":
		p.files[o.file].pending = nil // clean in memory, and never on the disk
	case recordKept:
		p.records = p.records[len(p.records)-1:]
	case "acked":
		p.acked = int(o.off)
	}
	if o.dirSync {
		rename(p.names, p.moved)
		p.moved = nil
	}
}

func rename(names map[string]int, moved []deed) {
	for _, o := range moved {
		if o.what == "create" {
			names[o.name] = o.file
		} else {
			delete(names, o.name)
		}
	}
}

// applied is b after a write or a truncate.
func (o deed) applied(b []byte) []byte {
	if o.what == "truncate" {
		if int64(len(b)) > o.off {
			return b[:o.off]
		}
		return append(b, make([]byte, o.off-int64(len(b)))...)
	}
	if grown := o.off + int64(len(o.data)); int64(len(b)) < grown {
		b = append(b, make([]byte, grown-int64(len(b)))...)
	}
	copy(b[o.off:], o.data)
	return b
}

// fates are what becomes of what was not synced when the power goes.
var fates = []string{"lost", "kept", "mixed", "torn", "garbled"}

// crash gives the files as they are after a power cut. lost: nothing of what was not synced is there; kept:
// all; mixed: any writes, in no order; torn: any sectors of any; garbled: and some hold anything.
func (p *platter) crash(fate string, r *rand.Rand) (files map[string][]byte) {
	some := func(n int) int {
		switch fate {
		case "lost":
			return 0
		case "kept":
			return n
		}
		return r.IntN(n + 1)
	}
	names := map[string]int{}
	for name, file := range p.names {
		names[name] = file
	}
	rename(names, p.moved[:some(len(p.moved))]) // a journal of names, as file systems have it, keeps their order
	files = map[string][]byte{}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted) // one seed, one crash
	for _, name := range sorted {
		f := p.files[names[name]]
		b := slices.Clone(f.durable)
		for _, o := range f.pending {
			for _, part := range o.parts(fate) {
				if some(1) == 0 {
					continue
				}
				if fate == "garbled" && o.what == "write" && r.IntN(4) == 0 {
					part.data = slices.Clone(part.data)
					for i := range part.data {
						part.data[i] = byte(r.Uint32())
					}
				}
				b = part.applied(b)
			}
		}
		files[name] = b
	}
	files[base+".lock"] = p.records[some(len(p.records)-1)]
	return files
}

// parts are what of a write may survive without the rest.
func (o deed) parts(fate string) []deed {
	if fate != "torn" && fate != "garbled" || o.what != "write" {
		return []deed{o}
	}
	var parts []deed
	for at, end := o.off, o.off+int64(len(o.data)); at < end; {
		to := min(end, at/sector*sector+sector)
		parts = append(parts, deed{what: "write", off: at, data: o.data[at-o.off : to-o.off]})
		at = to
	}
	return parts
}

// write makes the folder hold exactly these files. A file that is there stays the same one: the identity of
// the database is that of its file.
func (d *disk) write(t testing.TB, files map[string][]byte) {
	t.Helper()
	for _, name := range []string{base + "-wal", base + "-shm", base + "-journal"} {
		_ = os.Remove(filepath.Join(d.dir, name))
	}
	if files[base] == nil {
		files[base] = []byte{} // what the store makes first
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// kill ends the store as SIGKILL ends its process: the files are left as others see them, synced or not,
// and the disk goes on from there.
func (d *disk) kill(t testing.TB, s *Store) {
	t.Helper()
	d.mu.Lock()
	n := len(d.log)
	d.fail = nil
	d.mu.Unlock()
	_ = s.Close() // what it does to the files is undone
	d.log = d.log[:n]
	clear(d.names)
	files := map[int][]byte{}
	for _, o := range d.log {
		switch o.what {
		case "create", "delete":
			rename(d.names, []deed{o})
		case "write", "truncate":
			files[o.file] = o.applied(files[o.file])
		}
	}
	seen := map[string][]byte{}
	for name, file := range d.names {
		seen[name] = files[file]
	}
	d.write(t, seen)
}

// platter is the disk as all that was done has made it.
func (d *disk) platter() *platter {
	p := newPlatter()
	for _, o := range d.log {
		p.take(o)
	}
	return p
}
