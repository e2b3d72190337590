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

// openStore opens what the DSN names; the part before its colon chooses the adapter. where says it
// to operators, without a password.
func (c Config) openStore(ctx context.Context) (store room.Store, where string, err error) {
	switch {
	case strings.HasPrefix(c.Store, sqliteScheme):
		path, err := c.sqlitePath()
		if err != nil {
			return nil, "", err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, "", fmt.Errorf("make the folder of the store: %w", err)
		}
		if store, err = sqlite.Open(ctx, path, c.Log); err != nil {
			return nil, "", fmt.Errorf("open the store %s: %w", path, err)
		}
		return store, path, nil
	case strings.HasPrefix(c.Store, "postgres://"), strings.HasPrefix(c.Store, "postgresql://"):
		u, err := url.Parse(c.Store)
		if err != nil { // its text holds the password
			return nil, "", configErrorf("--store: this postgres:// URL cannot be read; special characters of a password are written as %%XX")
		}
		host := u.Host
		if host == "" { // libpq's other way to write it
			host = u.Query().Get("host")
		}
		where := host + u.Path
		if store, err = postgres.Open(ctx, c.Store, c.Log); err != nil {
			return nil, "", fmt.Errorf("open the store at %s: %w", where, err)
		}
		return store, where, nil
	}
	return nil, "", configErrorf("--store is sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")
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
