//go:build mutant

package sqlite

import "os"

var ackMemory = os.Getenv("ROOMLOG_MUTANT") == "ack_memory"

// mutateCommit is the hook of the mutant ack_memory: the batch is answered, with its right seqs, while its
// transaction is open. It is committed when the next one comes. Unlike ack_first of the hub it never guesses: only a
// process that dies in between shows it.
func (w *writer) mutateCommit() bool { return ackMemory }

func (w *writer) mutateBegin() {
	if ackMemory {
		_, _ = w.commit.ExecContext(background) // none is open at first
	}
}
