//go:build !mutant

package docs

// The hooks of the faulty variants that `make mutants` builds (mutant_on.go): here they do nothing,
// and the compiler removes them.

func mutateMissing(missing []byte) []byte { return missing }
func mutateParts(parts [][]byte) [][]byte { return parts }
func mutateRemembered() bool              { return false }
