//go:build !mutant

package presence

// The hooks of the faulty variants that `make mutants` builds (mutant_on.go): here they do nothing,
// and the compiler removes them.

func mutateLeave() bool      { return false }
func mutateGeneration() bool { return false }
func mutateSilence() bool    { return false }
