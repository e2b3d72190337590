package app

import (
	"context"

	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/streams"
)

// buildStreams makes the desk that takes the parts of messages that stream, where the store keeps them.
func (a *App) buildStreams(store room.Store) {
	kept, ok := store.(room.Streams)
	if !ok {
		return
	}
	a.streams = streams.New(streams.Config{
		Store: kept, Log: a.cfg.Log,
		Say: func(id room.ID, body []byte) {
			if a.node != nil {
				a.node.Say(id, cluster.PartStreams, body)
			}
		},
	})
}

// stopStreams keeps the parts that wait.
func (a *App) stopStreams(ctx context.Context) error {
	if a.streams != nil {
		a.streams.Stop(ctx)
	}
	return nil
}

// streamLog is the hub as a desk of streams has it.
type streamLog struct{ *hub.Hub }

// Append implements [streams.Hub].
func (l streamLog) Append(ctx context.Context, s room.Send) error {
	answered := make(chan hub.Outcome, 1)
	l.Submit(hub.Submit{Send: s}, func(o hub.Outcome) { answered <- o })
	select {
	case o := <-answered:
		if o.Err != nil { // not as an error that is no error
			return o.Err
		}
		return nil
	case <-ctx.Done():
		return &room.Error{Code: room.CodeOutcomeUnknown, Title: "The server stops before the outcome is known."}
	}
}
