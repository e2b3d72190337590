//go:build !mutant

package sqlite

// mutateFork does nothing outside of the faulty variants (mutant_on.go).
func mutateFork(why string) string { return why }

// mutatePragmas does nothing outside of the faulty variants.
func mutatePragmas(pragmas []string) []string { return pragmas }

// mutateRecovery does nothing outside of the faulty variants.
func mutateRecovery(statement string) string { return statement }

// mutateCompare does nothing outside of the faulty variants.
func mutateCompare() bool { return false }

// mutateKeep does nothing outside of the faulty variants.
func mutateKeep() bool { return false }
