package blackbox

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"roomlog/child"
	"roomlog/server/bus/redis/redistest"
	"roomlog/server/store/postgres/pgtest"
)

// An older backup is put in place of the database while editors of every kind are open, who wrote more since and write on: what the backup lacks comes
// back, nothing is there twice, and all have the same. Into a room that is deleted and begun anew our own push nothing, and say so; what they had they
// keep. DOC-9, YWS-9, HOC-7, RESET-3.
func TestRestoredUnderOpenEditors(t *testing.T) {
	t.Run("SQLite", restoredAlone)
	t.Run("PostgreSQL", restoredUnderNodes)
}

// restoredAlone is one server, which is away meanwhile: the file is put back between its death and its next life.
func restoredAlone(t *testing.T) {
	data, backup := t.TempDir(), t.TempDir()
	port, err := child.FreePort()
	must(t, err)
	host := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	begin := func() *server { return start(t, data, "--listen", host) }
	s := begin()
	yjsClients(t, map[string]func(){
		"backup": func() {
			s.stop()
			must(t, os.CopyFS(filepath.Join(backup, "data"), os.DirFS(data)))
			s = begin()
		},
		"away": func() {
			must(t, s.cmd.Process.Kill())
			<-s.exit
		},
		"restore": func() {
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
	}, "restored.mjs", editor(t, "--data", data), host)
	s.stop()
}

// restoredUnderNodes is three nodes on one PostgreSQL and one Redis, each with an editor of another kind. They go on, and their connections stay, while
// the database is stopped, taken back to a base backup that was made under them, and started: that it is another is theirs to find out, since nobody
// says so (no epoch is bumped).
func restoredUnderNodes(t *testing.T) {
	db := database(t)
	bus, err := redistest.Start("")
	must(t, err)
	t.Cleanup(func() { must(t, bus.Close()) })
	var nodes []*server
	var hosts []string
	for range 3 {
		s := node(t, db, "--bus", "redis://"+bus.Address(), "--cluster-key", sharedKey, "--pause-limit", "10m")
		at, err := url.Parse(s.url)
		must(t, err)
		nodes, hosts = append(nodes, s), append(hosts, at.Host)
	}
	var backup string
	yjsClients(t, map[string]func(){
		"backup": func() {
			backup, err = db.BaseBackup(t.Context())
			must(t, err)
		},
		"away": func() { must(t, db.Stop(pgtest.Fast)) },
		"restore": func() {
			must(t, db.Restore(backup))
			must(t, db.Restart(t.Context()))
		},
	}, "restored.mjs", append([]string{editor(t, "--key", sharedKey)}, hosts...)...)
	for _, s := range nodes {
		s.stop()
	}
}

// editor is a token that may do everything in the rooms of this test, signed with the key that the flags name.
func editor(t *testing.T, key ...string) string {
	t.Helper()
	made, err := exec.Command(binary, append([]string{"token", "--user", "ada", "--rooms", "pad:*", "--can", "read,send,admin"}, key...)...).Output()
	must(t, err)
	return strings.TrimSpace(string(made))
}
