package blackbox

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"roomlog/child"
)

// An older backup is put in place of the database while editors of every kind are open, who wrote more since and write on: what the backup lacks comes
// back, nothing is there twice, and all have the same. Into a room that is deleted and begun anew our own push nothing, and say so; what they had they
// keep. DOC-9, YWS-9, HOC-7, RESET-3.
func TestRestoredUnderOpenEditors(t *testing.T) {
	data, backup := t.TempDir(), t.TempDir()
	port, err := child.FreePort()
	must(t, err)
	host := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	begin := func() *server { return start(t, data, "--listen", host) }
	s := begin()
	made, err := exec.Command(binary, "token", "--user", "ada", "--rooms", "pad:*", "--can", "read,send,admin", "--data", data).Output()
	must(t, err)
	yjsClients(t, map[string]func(){
		"backup": func() {
			s.stop()
			must(t, os.CopyFS(filepath.Join(backup, "data"), os.DirFS(data)))
			s = begin()
		},
		"restore": func() {
			must(t, s.cmd.Process.Kill())
			<-s.exit
			for _, suffix := range []string{"-wal", "-shm"} {
				if err := os.Remove(filepath.Join(data, "roomlog.db"+suffix)); !errors.Is(err, fs.ErrNotExist) {
					must(t, err)
				}
			}
			file, err := os.ReadFile(filepath.Join(backup, "data", "roomlog.db"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(data, "roomlog.db"), file, 0o600))
			if out, err := exec.Command(binary, "epoch", "bump", "--data", data).CombinedOutput(); err != nil {
				t.Fatalf("epoch bump: %v: %s", err, out)
			}
			s = begin()
		},
	}, "restored.mjs", host, strings.TrimSpace(string(made)))
	s.stop()
}
