package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// databaseCPU counts, from now on, the CPU of all processes of the database under the server. Where the server has
// none, or its processes cannot be seen from here, it gives nil, and says so.
func (t *trial) databaseCPU(ctx context.Context) (func() (time.Duration, error), error) {
	s, ok := t.server.(*roomlog)
	if !ok || s.target.can()&onPostgres == 0 {
		return nil, nil
	}
	master, err := postmaster(ctx, s.target.store)
	if elsewhere := (errElsewhere)(""); errors.As(err, &elsewhere) {
		fmt.Fprintf(t.Progress, "the CPU of the database is left out: %v\n", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	before, err := familyCPU(master)
	return func() (time.Duration, error) {
		after, err := familyCPU(master)
		return after - before, err
	}, err
}

// errElsewhere says why the processes of a database cannot be seen.
type errElsewhere string

func (e errElsewhere) Error() string { return string(e) }

// postmaster finds the first process of a PostgreSQL server on this machine: the parent of a session's.
func postmaster(ctx context.Context, url string) (pid int, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("ask the database for its process: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if host, ok := conn.PgConn().Conn().RemoteAddr().(*net.TCPAddr); ok && !host.IP.IsLoopback() {
		return 0, errElsewhere("it runs on another machine")
	}
	var session int
	if err := conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&session); err != nil {
		return 0, fmt.Errorf("ask the database for its process: %w", err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", session))
	if err != nil || !strings.Contains(string(stat), "(postgres)") {
		return 0, errElsewhere("its processes are not among those of this machine")
	}
	p, err := parseStat(string(stat))
	return p.parent, err
}

// familyCPU is what a process and its children have used, those that have ended included.
func familyCPU(parent int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", parent))
	if err != nil {
		return 0, err
	}
	p, err := parseStat(string(stat))
	if err != nil {
		return 0, err
	}
	sum := p.cpu + p.ofEnded
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has just ended, and is among ofEnded when its parent has seen that
		}
		if child, err := parseStat(string(stat)); err == nil && child.parent == parent {
			sum += child.cpu + child.ofEnded
		}
	}
	return sum, nil
}
