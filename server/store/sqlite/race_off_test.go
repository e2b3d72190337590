//go:build !race

package sqlite

import "os"

// thinned is how many times fewer power cuts are tried, unless all are asked for.
var thinned = func() int {
	if os.Getenv("ROOMLOG_CRASHES") == "all" {
		return 1
	}
	return 4
}()
