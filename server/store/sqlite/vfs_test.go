//go:build unix

package sqlite

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The VFS is SQLite's own with some functions replaced, in the open files too: what a file is to it
// stays its own business.
var shim struct {
	sync.Mutex
	once    sync.Once
	disks   map[string]*disk
	handles map[uintptr]*handle
	methods map[uintptr]*sqlite3.Tsqlite3_io_methods // ours by theirs
	own     *sqlite3.Tsqlite3_vfs
	ours    *sqlite3.Tsqlite3_vfs
}

// diskVFS is the name of the VFS.
const diskVFS = "disk"

type handle struct {
	disk    *disk
	file    int
	dirSync bool // the first sync of a new journal syncs its folder, too
	methods *sqlite3.Tsqlite3_io_methods
}

// at is memory of SQLite's, which is not the collector's.
func at[T any](p uintptr) *T { return (*T)(*(*unsafe.Pointer)(unsafe.Pointer(&p))) }

// outside is a copy that lies in SQLite's memory, and stays.
func outside[T any](tls *libc.TLS, value T) *T {
	p := at[T](libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(value))))
	*p = value
	return p
}

// address is what SQLite calls for f.
func address[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function is what SQLite would call at p.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

func register() {
	tls := libc.NewTLS()
	defer tls.Close()
	shim.disks, shim.handles = map[string]*disk{}, map[uintptr]*handle{}
	shim.methods = map[uintptr]*sqlite3.Tsqlite3_io_methods{}
	shim.own = at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	shim.ours = outside(tls, *shim.own)
	name, err := libc.CString(diskVFS)
	if err != nil {
		panic(err)
	}
	shim.ours.FzName, shim.ours.FpNext = name, 0
	shim.ours.FxOpen, shim.ours.FxDelete = address(diskOpen), address(diskDelete)
	if code := sqlite3.Xsqlite3_vfs_register(tls, uintptr(unsafe.Pointer(shim.ours)), 0); code != 0 {
		panic(code)
	}
	syncFile = func(f *os.File) error {
		shim.Lock()
		d, folder := shim.disks[filepath.Dir(f.Name())], shim.disks[f.Name()]
		shim.Unlock()
		switch {
		case d != nil:
			d.do(deed{what: recordKept})
		case folder == nil:
			return f.Sync()
		}
		return nil
	}
}

func diskOpen(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32 {
	code := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](shim.own.FxOpen)(tls, vfs, path, file, flags, out)
	if code != 0 || path == 0 {
		return code
	}
	shim.Lock()
	dir, name := filepath.Split(libc.GoString(path))
	d := shim.disks[filepath.Clean(dir)]
	if d == nil {
		shim.Unlock()
		return code
	}
	theirs := at[sqlite3.Tsqlite3_file](file).FpMethods
	methods := shim.methods[theirs]
	if methods == nil {
		methods = outside(tls, *at[sqlite3.Tsqlite3_io_methods](theirs))
		methods.FxWrite, methods.FxTruncate = address(diskWrite), address(diskTruncate)
		methods.FxSync, methods.FxClose = address(diskSync), address(diskClose)
		shim.methods[theirs] = methods
	}
	at[sqlite3.Tsqlite3_file](file).FpMethods = uintptr(unsafe.Pointer(methods))
	h := &handle{disk: d, methods: at[sqlite3.Tsqlite3_io_methods](theirs)}
	h.dirSync = flags&(sqlite3.SQLITE_OPEN_WAL|sqlite3.SQLITE_OPEN_MAIN_JOURNAL) != 0 && flags&sqlite3.SQLITE_OPEN_CREATE != 0
	shim.handles[file] = h
	shim.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.file = d.names[name]; h.file == 0 {
		if name == base { // the store makes it, and syncs its folder
			h.file = d.exists(name, nil)
			return code
		}
		d.next++
		h.file, d.names[name] = d.next, d.next
		d.add(deed{what: "create", name: name, file: h.file})
	}
	return code
}

func opened(file uintptr) *handle {
	shim.Lock()
	defer shim.Unlock()
	return shim.handles[file]
}

func diskDelete(tls *libc.TLS, vfs, path uintptr, dirSync int32) int32 {
	dir, name := filepath.Split(libc.GoString(path))
	shim.Lock()
	d := shim.disks[filepath.Clean(dir)]
	shim.Unlock()
	if d != nil {
		d.mu.Lock()
		if file := d.names[name]; file != 0 {
			delete(d.names, name)
			d.add(deed{what: "delete", name: name, file: file, dirSync: dirSync != 0})
		}
		d.mu.Unlock()
		dirSync = 0
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32) int32](shim.own.FxDelete)(tls, vfs, path, dirSync)
}

func diskWrite(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	h := opened(file)
	data := slices.Clone(unsafe.Slice(at[byte](buf), n))
	if code := h.disk.do(deed{what: "write", file: h.file, off: off, data: data}); code != 0 {
		return code
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](h.methods.FxWrite)(tls, file, buf, n, off)
}

func diskTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	h := opened(file)
	if code := h.disk.do(deed{what: "truncate", file: h.file, off: size}); code != 0 {
		return code
	}
	return function[func(*libc.TLS, uintptr, int64) int32](h.methods.FxTruncate)(tls, file, size)
}

func diskSync(_ *libc.TLS, file uintptr, _ int32) int32 {
	h := opened(file)
	code := h.disk.do(deed{what: "sync", file: h.file, dirSync: h.dirSync})
	h.dirSync = h.dirSync && code != 0
	return code
}

func diskClose(tls *libc.TLS, file uintptr) int32 {
	h := opened(file)
	shim.Lock()
	delete(shim.handles, file)
	shim.Unlock()
	return function[func(*libc.TLS, uintptr) int32](h.methods.FxClose)(tls, file)
}
