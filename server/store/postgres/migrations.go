//go:build !mutant

package postgres

import (
	"embed"
	"io/fs"
)

//go:embed migrations/*.sql
var embedded embed.FS

// migrations are the files of the schema, in order of their numbers.
func migrations() (fs.FS, error) { return fs.Sub(embedded, "migrations") }

// mutateFork does nothing outside of the faulty variants (mutant.go).
func mutateFork(why string) string { return why }
