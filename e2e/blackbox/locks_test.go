package blackbox

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// holdsVariable makes this test program a process that holds a room in a database, instead of running tests.
const holdsVariable = "ROOMLOG_BLACKBOX_HOLDS"

// holdRoom locks the row of chat:a in a transaction that writes, says so, waits for a line and commits.
func holdRoom(dsn string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "update roomlog.rooms set created_at = now() where name = 'chat:a'"); err != nil {
		return err
	}
	fmt.Println("held")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	fmt.Println("commit:", tx.Commit(ctx))
	return nil
}

// A process that is stopped (SIGSTOP) while its transaction holds a room cannot hold it up for longer than the database lets
// a node be idle in a transaction: sends to the room go on by themselves, those to others notice nothing, and what the
// process had not committed is not there when it wakes up (I1, I3).
func TestStoppedProcessHoldsARoom(t *testing.T) {
	db := database(t)
	s := node(t, db)
	token := s.token("mira")
	insist(t, s.url, token, "chat:a", tag(1))

	self, err := os.Executable()
	must(t, err)
	holder := exec.Command(self)
	holder.Env = append(os.Environ(), holdsVariable+"="+db.DSN("")+"&idle_in_transaction_session_timeout=3000")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	holder.Stderr = os.Stderr
	in, err := holder.StdinPipe()
	must(t, err)
	out, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	t.Cleanup(func() { _ = holder.Process.Kill() })
	says := bufio.NewReader(out)
	if line, err := says.ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	must(t, holder.Process.Signal(syscall.SIGSTOP))

	began := time.Now()
	a, err := send(s.url, token, "chat:a", tag(2))
	if err != nil || a.status != http.StatusServiceUnavailable || a.Code != "unavailable" {
		t.Errorf("a send to the room that is held: %+v, %v", a, err)
	}
	t.Logf("a send to the room that is held is refused after %v", time.Since(began))
	for n := range 10 {
		if a, err := send(s.url, token, "chat:b", tag(n)); err != nil || a.status != http.StatusCreated {
			t.Errorf("a send to another room: %+v, %v", a, err)
		}
	}
	if seq := insist(t, s.url, token, "chat:a", tag(2)); seq != 2 {
		t.Errorf("the send is stored at %d", seq)
	}
	t.Logf("the room goes on after %v", time.Since(began))

	must(t, holder.Process.Signal(syscall.SIGCONT))
	_, err = fmt.Fprintln(in)
	must(t, err)
	if line, _ := says.ReadString('\n'); !strings.HasPrefix(line, "commit: ") || line == "commit: <nil>\n" {
		t.Errorf("the transaction of the process that was stopped: %q", line)
	}
	must(t, holder.Wait())
	if seq := insist(t, s.url, token, "chat:a", tag(3)); seq != 3 {
		t.Errorf("the next send is stored at %d", seq)
	}
	if seqs := s.log("chat:a"); len(seqs) != 3 {
		t.Errorf("the log is %v", seqs)
	}
	s.stop()
}
