//go:build !race

package transport

// underRace: memory is what it is in production.
const underRace = false
