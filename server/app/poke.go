package app

import (
	"context"

	"roomlog/server/room"
)

// poke looks whether a room has grown by what was appended from elsewhere: for those who follow it here, for the other
// nodes and for webhooks.
func (a *App) poke(store room.Store) func(context.Context, room.ID) error {
	return func(ctx context.Context, id room.ID) error {
		heads, err := store.Heads(ctx, []room.ID{id})
		if err != nil {
			return err
		}
		if !a.hub.CheckRooms(ctx, []room.ID{id}) {
			return &room.Error{Code: room.CodeUnavailable, Title: "The store cannot be read right now."}
		}
		if a.node != nil {
			a.node.Changed(heads[0])
		}
		a.grew(id)
		a.api.Poked(id)
		return nil
	}
}
