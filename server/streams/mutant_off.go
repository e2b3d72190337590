//go:build !mutant

package streams

// The faulty variants of this package are in mutant_on.go.

func mutateOffset() bool { return false }
