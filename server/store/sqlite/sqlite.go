// Package sqlite is the embedded store: one SQLite file, one process, no server.
//
// One connection writes, several read. The log is in WAL mode with synchronous=FULL, so an append
// that has returned survives a power cut. What SQLite is not here: shared. A second process (or a
// second Open) on the same file is refused, because nodes that share a store need a bus and rooms
// locked one by one, which is what the postgres store is for.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver, pure Go; see docs/decisions/sqlite-driver.md

	"roomlog/server/room"
)

//go:embed migrations/*.sql
var embedded embed.FS

const (
	// readers bounds the reads under way at once. SQLite reads are short and bound by the processor.
	readers = 4
	// minVersion is the first SQLite without the WAL corruption bug of 3.7.0 to 3.51.2.
	minVersion = "3.51.3"
)

// pragmas are what every connection runs first; the driver sorts them. A checkpoint each 2,000 pages
// (8 MiB) writes a hot page back once for many commits; that was measured. A mapping, a larger cache or
// larger pages gained nothing.
var pragmas = []string{
	"busy_timeout(5000)", // a foreign reader (the sqlite3 shell) may hold a lock for a moment
	"journal_mode(wal)",
	"synchronous(full)",
	"fullfsync(on)",            // where fsync alone does not reach the disk (macOS); elsewhere it does nothing
	"checkpoint_fullfsync(on)", // likewise
	"wal_autocheckpoint(2000)",
	"journal_size_limit(67108864)",
	"secure_delete(on)",  // what was deleted is overwritten, in its page and with it
	"cache_size(-16384)", // of the writer; it lies outside of what the runtime counts as its memory
	"temp_store(memory)",
}

// Store is a [room.Store] in one SQLite file. Its methods may be called concurrently: appends take
// turns, up to four reads run beside them.
type Store struct {
	info    room.Info
	db      *sql.DB
	path    string
	file    os.FileInfo // of path, as it was opened
	lock    *os.File
	record  record       // what lock holds; who has the writer may change it
	found   room.Epoch   // the epoch before Open, which draws another for a copy
	writers chan *writer // holds the one writer while nobody uses it
	readers chan *reader // holds the idle readers
	log     string       // the file of the write-ahead log
	foldAt  int64        // its size, in bytes, at which it is folded
	failed  chan struct{}
	clock   func() time.Time // dates events, and says how old they are

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // calls in flight; added to only under mu while not closed
	close  func() error
}

// Open opens or creates the database at path, its folder too, and migrates it. It fails if another
// process has it open, if the file was written by a newer Roomlog, or if it lies on a file system
// without WAL support (a network share). A file that is a copy or a restore gets a new epoch; log (nil:
// nothing is logged) is told. ctx bounds the opening alone.
func Open(ctx context.Context, path string, log *slog.Logger) (*Store, error) {
	return openOn(ctx, path, "", log)
}

// openOn is Open on files that SQLite reaches by the VFS of that name; empty: its own.
func openOn(ctx context.Context, path, vfs string, log *slog.Logger) (s *Store, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	path, err = resolve(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s = &Store{
		path: path, failed: make(chan struct{}), clock: time.Now, writers: make(chan *writer, 1), readers: make(chan *reader, readers), log: path + "-wal", foldAt: foldAt,
	}
	s.close = sync.OnceValue(s.release)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", path, err), s.close())
			s = nil
		}
	}()
	if err := s.claim(path); err != nil {
		return s, err
	}
	s.db, err = sql.Open("sqlite", source(path, vfs))
	if err != nil {
		return s, err
	}
	s.db.SetMaxOpenConns(readers + 1)
	if err := s.inspect(ctx); err != nil {
		return s, err
	}
	if err := s.recover(ctx); err != nil {
		return s, fmt.Errorf("recover the write-ahead log: %w", err)
	}
	if err := migrate(ctx, s.db); err != nil {
		return s, err
	}
	if err := s.settle(ctx, path, log); err != nil {
		return s, fmt.Errorf("compare the database with what it was: %w", err)
	}
	return s, s.connect(ctx)
}

// resolve makes the folder of path and gives the path without links: the lock lies beside the file, so
// one file under two names would have two.
func resolve(path string) (string, error) {
	dir, base := filepath.Split(path)
	dir, err := filepath.Abs(dir)
	if err != nil {
		return path, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return path, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return path, err
	}
	whole, err := filepath.EvalSymlinks(filepath.Join(dir, base))
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(dir, base), nil // the file is made later
	}
	return whole, err
}

// source is the driver's name for the file at path by a VFS, with the pragmas of each connection.
func source(path, vfs string) string {
	query := url.Values{"_pragma": mutatePragmas(pragmas)} // mutant sync_normal
	if vfs != "" {
		query.Set("vfs", vfs)
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return u.String()
}

// claim makes the file, readable by this user alone, and takes the lock that keeps a second process
// out. SQLite gives its other files the permissions of the first.
func (s *Store) claim(path string) error {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := lockFile(lock); err != nil {
		return fmt.Errorf("another process has this database open (lock %s): %w", lock.Name(), err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.file, err = file.Stat()
	return errors.Join(err, file.Close(), syncDir(filepath.Dir(path)))
}

// inspect refuses an engine or a file system that would not keep the promise of durability.
func (s *Store) inspect(ctx context.Context) error {
	var journal string
	var synchronous int
	row := s.db.QueryRowContext(ctx, "select sqlite_version(), (select journal_mode from pragma_journal_mode), (select synchronous from pragma_synchronous)")
	s.info.Name = "sqlite"
	if err := row.Scan(&s.info.Version, &journal, &synchronous); err != nil {
		return err
	}
	if older(s.info.Version, minVersion) {
		return fmt.Errorf("SQLite %s can corrupt its write-ahead log; %s or later is needed", s.info.Version, minVersion)
	}
	if journal != "wal" {
		return fmt.Errorf("the file system does not support SQLite's write-ahead log (journal mode %q); a local disk is needed", journal)
	}
	const full = 2
	s.info.Durability = room.Full
	if synchronous < full { // the pragmas say otherwise; only a mutant gets here
		s.info.Durability, s.info.Relaxed = room.Relaxed, fmt.Sprintf("synchronous=%d", synchronous)
	}
	return nil
}

// recover copies what an earlier process left in the write-ahead log into the file, and empties the log. A
// log whose sync failed may be whole in the kernel's memory and not on the disk, with nothing left that
// would write it: what is appended behind such a hole is lost with the power. A foreign reader may keep the
// log from being emptied; then it is as it was.
func (s *Store) recover(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, mutateRecovery("pragma wal_checkpoint(truncate)")) // mutant log_kept
	return err
}

// older reports whether version a is before version b, each three numbers with dots.
func older(a, b string) bool {
	var x, y [3]int
	_, errA := fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2])
	_, errB := fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2])
	if errA != nil || errB != nil {
		return true
	}
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

// migrations knows the files of the schema, in order of their numbers. Each is one transaction, with the row
// that says that it was applied: a process that ends in the middle leaves the version before. A file is run as it
// is, since SQLite takes many statements at once; to part them goose clears 4 MiB for each statement, half of what it takes to make a new
// file.
func migrations(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	all := make([]*goose.Migration, len(files))
	for i, file := range files {
		text, err := embedded.ReadFile(file)
		if err != nil {
			return nil, err
		}
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, err
		}
		all[i] = goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, string(text))
			return err
		}}, nil)
	}
	return goose.NewProvider(goose.DialectSQLite3, db, nil, goose.WithGoMigrations(all...), goose.WithDisableGlobalRegistry(true))
}

// migrate brings the schema up to date, or refuses a database that is ahead of this program.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := migrations(db)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	at, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: read version: %w", err)
	}
	sources := p.ListSources()
	if known := sources[len(sources)-1].Version; at > known {
		return fmt.Errorf("the database has schema %d, this program knows %d: it was written by a newer Roomlog", at, known)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// connect opens the writer and the readers and prepares their statements.
func (s *Store) connect(ctx context.Context) error {
	w, err := newWriter(ctx, s.db)
	if w != nil {
		w.broken = sync.OnceFunc(func() { close(s.failed) })
		s.writers <- w // release ends it, prepared or not
	}
	for range readers {
		if err != nil {
			return err
		}
		var r *reader
		if r, err = newReader(ctx, s.db); r != nil {
			s.readers <- r
		}
	}
	return err
}

// Failed is [room.Failer.Failed]: a commit was not synced. The kernel may have forgotten what it could not
// write and report the next sync as a success, so none is tried; the next Open reads the log back.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Info describes the engine, and whether an append is fsynced before it returns.
func (s *Store) Info() room.Info { return s.info }

// Close waits for the calls in flight and closes the file. Later calls are refused as `going_away`.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	return s.close()
}

// release undoes whatever Open did. Closing the last connection also folds the WAL into the file.
func (s *Store) release() error {
	var errs []error
	if s.db != nil {
		close(s.writers)
		for w := range s.writers {
			errs = append(errs, w.end())
		}
		close(s.readers)
		for r := range s.readers {
			errs = append(errs, r.end())
		}
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// enter registers a call; its result must be called when the call ends.
func (s *Store) enter() (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, &room.Error{Code: room.CodeGoingAway, Title: "The store is closed."}
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}

// session is a connection with its statements; one goroutine uses it at a time.
type session struct {
	conn  *sql.Conn
	stmts []*sql.Stmt
}

// end closes the statements, then the connection: with a statement left open SQLite would keep the
// file open behind our back, and its log beside it.
func (c *session) end() error {
	var errs []error
	for _, stmt := range c.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

// prepare makes a statement of the connection. A LIMIT is written `limit ? + 0`: SQLite takes a parameter that stands alone for a hint to its
// planner, and compiles the statement anew each time it is given one.
func (c *session) prepare(ctx context.Context, query string, into **sql.Stmt) error {
	stmt, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return fmt.Errorf("prepare %q: %w", query, err)
	}
	*into = stmt
	c.stmts = append(c.stmts, stmt)
	return nil
}

var _ room.Failer = (*Store)(nil)
