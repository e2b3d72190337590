//go:build !mutant

package hub

import "roomlog/server/room"

// The hooks of the faulty variants that `make mutants` builds (mutant_on.go): here they do nothing,
// and the compiler removes them.

func (a *appender) mutateAppend([]*pending) {}
func (cur *cursor) mutateBehind() bool      { return false }
func (cur *cursor) mutateJoin()             {}

func (r *liveRoom) mutateFloor(*room.Position) {}

func mutateBlind() bool { return false }

func (r *liveRoom) mutateTrust(room.Growth, []room.Event) ([]room.Event, bool) { return nil, false }

func mutateJudge() bool { return false }

func mutateFold(keys []room.StateEntry) []room.StateEntry { return keys }
func mutateDocs(docs bool) bool                           { return docs }
