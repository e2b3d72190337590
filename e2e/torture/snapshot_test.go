package torture

import (
	"context"
	"database/sql"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"roomlog/history"
)

const (
	countPostgres = `select r.name, r.floor, count(e.seq), coalesce(min(e.seq), 0), coalesce(max(e.seq), 0)
		from roomlog.rooms r left join roomlog.events e on e.room = r.id and e.seq >= r.floor group by r.id`
	countSQLite = `select r.name, r.floor, count(e.seq), coalesce(min(e.seq), 0), coalesce(max(e.seq), 0)
		from rooms r left join events e on e.room = r.id and e.seq >= r.floor group by r.id`
)

// snapshot records what the database itself says of every room at one instant (I3).
func (r *run) snapshot(ctx context.Context) error {
	if r.db == nil {
		return r.snapshotSQLite(ctx)
	}
	conn, err := pgx.Connect(ctx, r.db.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, countPostgres)
	if err != nil {
		return err
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.Line, error) {
		l := history.Line{Op: history.OpSQL, Client: "judge"}
		return l, row.Scan(&l.Room, &l.Floor, &l.Count, &l.Min, &l.Max)
	})
	if err != nil {
		return err
	}
	for _, l := range lines {
		r.rec.Add(l)
	}
	return nil
}

// snapshotSQLite reads the file beside the server: SQLite's own locks let a reader in.
func (r *run) snapshotSQLite(ctx context.Context) error {
	file := url.URL{Scheme: "file", Path: strings.TrimPrefix(r.node.store, "sqlite:"), RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, countSQLite)
	if err != nil {
		return err
	}
	defer rows.Close()
	var lines []history.Line
	for rows.Next() {
		l := history.Line{Op: history.OpSQL, Client: "judge"}
		if err := rows.Scan(&l.Room, &l.Floor, &l.Count, &l.Min, &l.Max); err != nil {
			return err
		}
		lines = append(lines, l)
	}
	for _, l := range lines {
		r.rec.Add(l)
	}
	return rows.Err()
}
