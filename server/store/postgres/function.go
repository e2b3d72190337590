//go:build !mutant

package postgres

// appendFunction is the SQL function that stores a batch; migrations has it.
const appendFunction = "roomlog.append"
