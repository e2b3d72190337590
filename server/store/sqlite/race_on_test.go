//go:build race

package sqlite

// thinned is how many times fewer power cuts are tried where each costs twenty times as much. `make mutants`
// runs the same tests without the race detector.
const thinned = 32
