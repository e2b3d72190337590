//go:build mutant

package docs

import (
	"os"
	"slices"

	"roomlog/server/yjs"
)

// mutant names the fault of this build: deletes_known, pending_lost or memory_trusted. Each must be caught by the test that mutants.txt
// names, or the test proves nothing.
var mutant = os.Getenv("ROOMLOG_MUTANT")

// mutateMissing takes an update that brings no units for known, as one who compares state vectors alone does: these say nothing of deletions.
func mutateMissing(missing []byte) []byte {
	if mutant == "deletes_known" && len(missing) > 0 && missing[0] == 0 {
		return nil
	}
	return missing
}

// mutateParts leaves out of a compaction what waits for units that are not there yet, as a document of Yjs does that is built and encoded without it.
func mutateParts(parts [][]byte) [][]byte {
	if mutant != "pending_lost" {
		return parts
	}
	whole, err := yjs.Merge(parts...)
	if err != nil {
		return parts
	}
	vector, err := yjs.StateVector(whole)
	if err != nil {
		return parts
	}
	return slices.DeleteFunc(parts, func(part []byte) bool {
		waits, err := yjs.Diff(part, vector.Encode())
		return err == nil && waits[0] != 0
	})
}

// mutateRemembered takes what is remembered of a document for what the store has, whether or not that is the same room and the same history.
func mutateRemembered() bool { return mutant == "memory_trusted" }
