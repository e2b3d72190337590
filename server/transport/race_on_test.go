//go:build race

package transport

// underRace: the race detector makes every frame of a stack larger.
const underRace = true
