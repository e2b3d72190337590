//go:build mutant

package sqlite

import (
	"os"
	"slices"
)

// mutateFork is the hook of the mutant epoch_kept, which finds a copy or a restore and goes on as if nothing
// had happened. `make mutants` builds it; mutants.txt names the test that catches it.
func mutateFork(why string) string {
	if os.Getenv("ROOMLOG_MUTANT") == "epoch_kept" {
		return ""
	}
	return why
}

// mutatePragmas is the hook of the mutant sync_normal, which acknowledges what is not on the disk yet.
func mutatePragmas(pragmas []string) []string {
	if os.Getenv("ROOMLOG_MUTANT") != "sync_normal" {
		return pragmas
	}
	pragmas = slices.Clone(pragmas)
	pragmas[slices.Index(pragmas, "synchronous(full)")] = "synchronous(normal)"
	return pragmas
}

// mutateRecovery is the hook of the mutant log_kept, which goes on behind a log that may not be on the disk.
func mutateRecovery(statement string) string {
	if os.Getenv("ROOMLOG_MUTANT") == "log_kept" {
		return "select 1"
	}
	return statement
}

// mutateCompare is the hook of the mutant compare_blind, which sets without comparing. The test that catches it is one of
// server/transport.
func mutateCompare() bool { return os.Getenv("ROOMLOG_MUTANT") == "compare_blind" }

// mutateKeep is the hook of the mutant compact_over, which puts a compaction in place of what another has compacted since.
func mutateKeep() bool { return os.Getenv("ROOMLOG_MUTANT") == "compact_over" }
