//go:build mutant

package streams

import "os"

// mutant names the fault of this build: part_anywhere. It must be caught by the test that ../transport/mutants.txt names, or the test
// proves nothing.
var mutant = os.Getenv("ROOMLOG_MUTANT")

// mutateOffset takes a part wherever it begins, as if it followed.
func mutateOffset() bool { return mutant == "part_anywhere" }
