package app

import (
	"context"

	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/receipts"
	"roomlog/server/room"
)

// receiptsShown are the values of KindConfig.Receipts.
var receiptsShown = map[string]room.Show{
	"": room.ShowAll, "on": room.ShowAll, "counts": room.ShowCounts, "private": room.ShowPrivate, "off": room.ShowNone,
}

func knownReceipts(value string) bool {
	_, known := receiptsShown[value]
	return known
}

// buildReceipts makes the desk that takes marks, where the store keeps them.
func (a *App) buildReceipts(store room.Store) {
	kept, ok := store.(room.Receipts)
	if !ok {
		return
	}
	a.desk = receipts.New(receipts.Config{
		Store: kept, Kinds: a.kinds, Log: a.cfg.Log,
		Marked: func(raised []room.Marked) { a.api.Marked(raised) },
		Say: func(id room.ID, body []byte) {
			if a.node != nil {
				a.node.Say(id, cluster.PartReceipts, body)
			}
		},
	})
	a.receipts = keptReceipts{a.desk, kept}
}

// stopReceipts stores the marks that wait, while those who gave them can still be answered.
func (a *App) stopReceipts(ctx context.Context) error {
	if a.desk != nil {
		a.desk.Stop(ctx)
	}
	return nil
}

// keptReceipts is what requests ask of receipts: the desk takes marks, the store knows who has read what.
type keptReceipts struct {
	*receipts.Desk
	store room.Receipts
}

// Readers asks the store.
func (k keptReceipts) Readers(ctx context.Context, id room.ID, seq room.Seq, limit int) (room.Readers, error) {
	return k.store.Readers(ctx, id, seq, limit)
}

// beside are the sources of what rooms show beside their logs.
func (a *App) beside() (sources [hub.Sides]hub.SideSource) {
	sources[hub.SidePresence], sources[hub.SideSignals] = a.people.presence, a.people.signals
	if a.desk != nil {
		sources[hub.SideReceipts] = a.desk
	}
	if a.streams != nil {
		sources[hub.SideParts] = a.streams
	}
	return sources
}

// hears are those who are told what other nodes say of rooms beside their logs.
func (a *App) hears() map[cluster.Part]cluster.Hearer {
	hears := make(map[cluster.Part]cluster.Hearer)
	a.people.hears(hears)
	if a.desk != nil {
		hears[cluster.PartReceipts] = func(_ cluster.Peer, id room.ID, body []byte) { a.desk.Hear(id, body) }
	}
	if a.streams != nil {
		hears[cluster.PartStreams] = func(_ cluster.Peer, id room.ID, body []byte) { a.streams.Hear(id, body) }
	}
	hears[cluster.PartCommands] = func(from cluster.Peer, _ room.ID, body []byte) { a.api.HearFrom(peerName(from), body) }
	hears[cluster.PartMe] = func(_ cluster.Peer, _ room.ID, body []byte) { a.api.HearMe(body) }
	return hears
}
