//go:build !mutant

package sqlite

// mutateFork does nothing outside of the faulty variants (mutant_on.go).
func mutateFork(why string) string { return why }
