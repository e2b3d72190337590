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
