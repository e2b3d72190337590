package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// migrationLock is the advisory lock that a migrating node holds, so that nodes may start together.
const migrationLock = 0x726f6f6d6c6f67 // "roomlog"

// readOnly is the code of a write in a transaction that takes none.
const readOnly = "25006"

// migrate brings the schema up to date, or refuses a database that is ahead of this program. Nodes that
// start together take turns; the first does the work.
func migrate(ctx context.Context, base *pgx.ConnConfig, log *slog.Logger) (err error) {
	defer func() { err = explained(err) }()
	cfg := base.Copy()
	delete(cfg.RuntimeParams, "statement_timeout") // an index on a large table takes its time
	delete(cfg.RuntimeParams, "lock_timeout")      // and so does another node's migration
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "select pg_advisory_lock($1)", migrationLock); err != nil {
		return fmt.Errorf("migrate: lock: %w", err)
	}
	defer func() {
		_, end := conn.ExecContext(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", migrationLock)
		err = errors.Join(err, end)
	}()
	if err := makeSchema(ctx, conn); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := up(ctx, db); err != nil {
		return err
	}
	if err := letAppend(ctx, conn, log); err != nil {
		return fmt.Errorf("let others append: %w", err)
	}
	return nil
}

// explained says in a sentence what a user without the right to change the schema can do.
func explained(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case notPermitted:
		return fmt.Errorf("the database user may not make or change the schema roomlog: let its owner start this version once, or grant the user that right (%w)", err)
	case readOnly:
		return fmt.Errorf("the database takes no writes: it is read-only for this user, or a standby (%w)", err)
	}
	return err
}

// makeSchema makes the schema where it is missing; where it is there, no right to make one is needed.
func makeSchema(ctx context.Context, conn *sql.Conn) error {
	var missing bool
	if err := conn.QueryRowContext(ctx, "select to_regnamespace('roomlog') is null").Scan(&missing); err != nil || !missing {
		return err
	}
	_, err := conn.ExecContext(ctx, "create schema roomlog")
	return err
}

// provider applies the files of the schema. Each is one transaction, with the row that says that it was
// applied: a node that ends in the middle leaves the version before.
func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := migrations()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("roomlog.goose_db_version"))
}

func up(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
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
