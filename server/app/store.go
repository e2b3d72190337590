package app

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"roomlog/server/room"
	"roomlog/server/store/postgres"
	"roomlog/server/store/sqlite"
)

const sqliteScheme = "sqlite:"

// The kinds of stores.
const (
	sqliteName   = "sqlite"
	postgresName = "postgres"
)

// wholeStore is everything that a server asks of its store; each of ours can do it.
type wholeStore interface {
	room.Store
	room.AccessStore
	room.HookStore
	room.Pruner
	room.Rooms
	room.SearchStore
	room.ErasureStore
	room.ReportStore
	room.DocStore
}

// openStore opens what the DSN names. where says it to operators, without a password.
func (c Config) openStore(ctx context.Context) (store wholeStore, where string, err error) {
	name, where, err := c.storePlace()
	if err != nil {
		return nil, "", err
	}
	if name == postgresName {
		if store, err = postgres.Open(ctx, c.Store, c.Log); err != nil {
			return nil, "", fmt.Errorf("open the store at %s: %w", where, err)
		}
		return store, where, nil
	}
	if err := os.MkdirAll(filepath.Dir(where), 0o700); err != nil {
		return nil, "", fmt.Errorf("make the folder of the store: %w", err)
	}
	if store, err = sqlite.Open(ctx, where, c.Log); err != nil {
		return nil, "", fmt.Errorf("open the store %s: %w", where, err)
	}
	return store, where, nil
}

// storePlace reads the DSN: the part before its colon names the adapter. where is the file, or the host
// and database, without a password.
func (c Config) storePlace() (name, where string, err error) {
	switch {
	case strings.HasPrefix(c.Store, sqliteScheme):
		path, err := c.sqlitePath()
		return sqliteName, path, err
	case strings.HasPrefix(c.Store, "postgres://"), strings.HasPrefix(c.Store, "postgresql://"):
		u, err := url.Parse(c.Store)
		if err != nil { // its text holds the password
			return "", "", configErrorf("--store: this postgres:// URL cannot be read; special characters of a password are written as %%XX")
		}
		host := u.Host
		if host == "" { // libpq's other way to write it
			host = u.Query().Get("host")
		}
		return postgresName, host + u.Path, nil
	}
	return "", "", configErrorf("--store is sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")
}

// sqlitePath is the file of an SQLite store. A plain relative path lies in the data folder; one that
// begins with ./ or ../ in the working folder.
func (c Config) sqlitePath() (string, error) {
	path := strings.TrimPrefix(c.Store, sqliteScheme)
	if rest, ok := strings.CutPrefix(path, "//"); ok { // sqlite:///abs/path, as URLs have it
		path = rest
	}
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return "", configErrorf("--store: sqlite: needs the path of a file, such as sqlite:roomlog.db")
	case filepath.IsAbs(path), strings.HasPrefix(path, "./"), strings.HasPrefix(path, "../"):
		return filepath.Clean(path), nil
	}
	return filepath.Join(c.Data, path), nil
}
