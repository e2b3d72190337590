//go:build mutant

package presence

import "os"

// mutant names the fault of this build: leave_any, presence_generation or presence_hasty. Each must be caught by the test that mutants.txt
// names, or the test proves nothing.
var mutant = os.Getenv("ROOMLOG_MUTANT")

// mutateLeave has a user leave with any one of their connections.
func mutateLeave() bool { return mutant == "leave_any" }

// mutateGeneration takes what an older generation of a node, or an older message, says.
func mutateGeneration() bool { return mutant == "presence_generation" }

// mutateSilence tells what is there as the truth, whoever has not answered.
func mutateSilence() bool { return mutant == "presence_hasty" }
