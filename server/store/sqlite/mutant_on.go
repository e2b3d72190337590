//go:build mutant

package sqlite

import "os"

// mutateFork is the hook of the mutant epoch_kept, which finds a copy or a restore and goes on as if nothing
// had happened. `make mutants` builds it; mutants.txt names the test that catches it.
func mutateFork(why string) string {
	if os.Getenv("ROOMLOG_MUTANT") == "epoch_kept" {
		return ""
	}
	return why
}
