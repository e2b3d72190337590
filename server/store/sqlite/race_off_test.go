//go:build !race

package sqlite

// thinned is how many times fewer power cuts are tried.
const thinned = 1
