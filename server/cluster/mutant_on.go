//go:build mutant

package cluster

import (
	"os"

	"roomlog/server/room"
)

// mutant names the fault of this build: hint_trusted, revoke_local, redact_local, or bus_blind, which is the hub's. Each must be caught by
// the test that mutants.txt names, or the test proves nothing.
var mutant = os.Getenv("ROOMLOG_MUTANT")

// mutateSeal takes messages whatever their seal; the hub takes hints whatever is before them.
func mutateSeal() bool { return mutant == "hint_trusted" }

// mutateAccess does not hear that access changed at another node, by the bus or by the store.
func mutateAccess() bool { return mutant == "revoke_local" }

// mutateTargets does not hear what a delete of another node deleted: the tail here keeps it.
func mutateTargets(events []room.Event) []room.Event {
	for i := range events {
		if mutant == "redact_local" && events[i].Type == room.TypeDelete {
			events[i].Target = 0
		}
	}
	return events
}
