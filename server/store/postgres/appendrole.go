package postgres

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"
)

// appendRole is whom an application's own database user has to be granted to append from SQL.
const appendRole = "roomlog_append"

const (
	// mayAppendSQL asks whether the role is there and may; null: it is not there.
	mayAppendSQL = `select has_schema_privilege(oid, 'roomlog', 'usage')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, text, text)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, uuid, text)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, text, json)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, uuid, json)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, text, text, bigint)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, uuid, text, bigint)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, text, json, bigint)', 'execute')
		and has_function_privilege(oid, 'roomlog.append(text, text, text, uuid, json, bigint)', 'execute')
	from pg_roles where rolname = '` + appendRole + `'`

	makeRoleSQL = `create role ` + appendRole + ` nologin`

	letAppendSQL = `grant usage on schema roomlog to ` + appendRole + `;
	grant execute on function roomlog.append(text, text, text, text, text), roomlog.append(text, text, text, uuid, text),
		roomlog.append(text, text, text, text, json), roomlog.append(text, text, text, uuid, json),
		roomlog.append(text, text, text, text, text, bigint), roomlog.append(text, text, text, uuid, text, bigint),
		roomlog.append(text, text, text, text, json, bigint), roomlog.append(text, text, text, uuid, json, bigint) to ` + appendRole
)

// letAppend makes the role that may append from SQL, where it is not there or may not. It is no part of a migration:
// roles belong to the whole cluster, and a database that was loaded from a dump comes without them. A user
// without the right to make roles leaves that to an operator; the server does without.
func letAppend(ctx context.Context, conn *sql.Conn, log *slog.Logger) error {
	var may bool
	err := conn.QueryRowContext(ctx, mayAppendSQL).Scan(&may)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = conn.ExecContext(ctx, makeRoleSQL)
		if e := (*pgconn.PgError)(nil); errors.As(err, &e) && (e.Code == uniqueViolation || e.Code == roleExists) {
			err = nil // by a server in another database of the cluster
		}
	}
	if err == nil && !may {
		_, err = conn.ExecContext(ctx, letAppendSQL)
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == notPermitted {
		log.Info("the database user may not make the role "+appendRole+": nobody but the owner of the schema can append events from SQL until an operator does (docs/append-from-sql.md)", "reason", e.Message)
		return nil
	}
	return err
}

const roleExists = "42710"
