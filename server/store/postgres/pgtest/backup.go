//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
