//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
)

var errRuns = errors.New("the server runs: stop it first")

// Backup copies the files of a stopped server beside them and gives the folder, for Restore.
func (s *Server) Backup() (string, error) {
	if s.process != nil {
		return "", errRuns
	}
	dir, err := os.MkdirTemp(s.dir, "backup-")
	if err != nil {
		return "", err
	}
	return dir, copyAll(s.data(), filepath.Join(dir, "data"))
}

// BaseBackup takes a base backup of a running server and gives the folder, for Restore: by pg_basebackup
// where the programs include it (npm's do not), else by the calls that it makes.
func (s *Server) BaseBackup(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp(s.dir, "base-")
	if err != nil {
		return "", err
	}
	if err := s.as.take(dir); err != nil {
		return "", err
	}
	to := filepath.Join(dir, "data")
	program := filepath.Join(s.bin, "pg_basebackup")
	if _, err := os.Stat(program); err != nil {
		return dir, s.copyRunning(ctx, to)
	}
	cmd := exec.CommandContext(ctx, program, "--pgdata", to, "--wal-method=fetch", "--checkpoint=fast", "--no-sync",
		"--host=127.0.0.1", "--port="+strconv.Itoa(s.port), "--username="+superuser)
	cmd.Dir = s.dir
	s.as.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return dir, nil
}

// copyRunning copies the files between the calls that begin and end a base backup (PostgreSQL's manual,
// "Making a Base Backup Using the Low Level API").
func (s *Server) copyRunning(ctx context.Context, to string) error {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "select pg_backup_start('base', true)"); err != nil {
		return err
	}
	if err := copyAll(s.data(), to); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, "select labelfile from pg_backup_stop(false)").Scan(&label); err != nil {
		return err
	}
	for _, name := range []string{"postmaster.pid", "postmaster.opts", "pg_wal"} {
		if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	at := filepath.Join(to, "backup_label")
	err = errors.Join(copyAll(filepath.Join(s.data(), "pg_wal"), filepath.Join(to, "pg_wal")), os.WriteFile(at, []byte(label), 0o600))
	if err != nil {
		return err
	}
	return s.as.take(at)
}

// Restore puts a backup in place of the files of a stopped server.
func (s *Server) Restore(backup string) error {
	if s.process != nil {
		return errRuns
	}
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	return copyAll(filepath.Join(backup, "data"), s.data())
}

// Promote has the next start of a stopped server end a recovery, as a standby's does that takes over: with
// the same data, on a new timeline.
func (s *Server) Promote() error {
	if s.process != nil {
		return errRuns
	}
	// There is no archive: what is here is all. Nobody is let in before the recovery has ended.
	settings := map[string]string{"restore_command": "false", "hot_standby": "off"}
	for name, value := range s.settings {
		settings[name] = value
	}
	s.settings = settings
	signal := filepath.Join(s.data(), "recovery.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	return s.as.take(signal)
}

// copyAll copies a folder with owners and permissions, on which PostgreSQL insists.
func copyAll(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp -a: %w\n%s", err, out)
	}
	return nil
}
