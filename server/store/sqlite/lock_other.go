//go:build !unix

package sqlite

import "os"

// lockFile does nothing where there is no flock: SQLite's own locks keep the file whole, but two
// processes on it would not see each other's events at once.
func lockFile(*os.File) error { return nil }

// syncDir does nothing: a folder cannot be synced here.
func syncDir(string) error { return nil }
