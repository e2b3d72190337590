package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"roomlog/server/docs"
	"roomlog/server/erasure"
	"roomlog/server/presence"
	"roomlog/server/receipts"
	"roomlog/server/search"
	"roomlog/server/signals"
	"roomlog/server/streams"
)

// besides are the parts that rooms have beside their logs, and what goes through the logs for them, by what they count.
type besides struct {
	presence func() presence.Stats
	signals  func() signals.Stats
	receipts func() receipts.Stats // nil: the store keeps none
	streams  func() streams.Stats  // nil: likewise
	search   func() search.Stats
	erasure  func() erasure.Stats
	docs     func() docs.Stats
}

var (
	metricPresenceRooms   = metric("presence_rooms", "Rooms of which it is known who is there.")
	metricPresent         = metric("presence_connections", "Connections of this node that are present in rooms, in each room once.")
	metricPresenceShown   = metric("presence_updates_total", "Updates of who is in a room that its readers here were given.")
	metricPresenceSaid    = metric("presence_messages_total", "Messages of presence told to other nodes, and heard from them.", "direction")
	metricPresenceStale   = metric("presence_stale", "1 while who is at other nodes may have changed unnoticed, else 0.")
	metricSignalsAlive    = metric("signals_alive", "Signals that have not ended, in the rooms that are read or signalled in here.")
	metricSignals         = metric("signals_total", "Signals of connections of this node that were taken.")
	metricSignalsShown    = metric("signal_updates_total", "Updates of the signals of a room that its readers here were given.")
	metricSignalsSaid     = metric("signal_messages_total", "Messages of signals told to other nodes, and heard from them.", "direction")
	metricMarked          = metric("receipts_marked_total", "Marks of users that were taken to be stored.")
	metricMarksStored     = metric("receipts_stored_total", "Marks that were stored: of those of a user in a room that waited together, one.")
	metricMarksRaised     = metric("receipts_raised_total", "Marks that were stored and rose.")
	metricMarkBatches     = metric("receipts_batches_total", "Transactions that stored marks.")
	metricMarkReads       = metric("receipts_reads_total", "Reads of the receipts of a room.", "cause")
	metricStreamsOpen     = metric("streams_open", "Messages that stream and of which this node takes the parts.")
	metricStreamBytes     = metric("stream_text_bytes", "Bytes of the texts of messages that stream, in memory.")
	metricStreamParts     = metric("stream_parts_total", "Parts of messages that stream that were taken.")
	metricStreamKept      = metric("stream_checkpoints_total", "Pieces of texts that were stored, renewals of leases among them.")
	metricStreamBehind    = metric("stream_behind_total", "Pieces of texts that were not stored since another node was ahead, or the message had ended.")
	metricStreamFailures  = metric("stream_failures_total", "Transactions that should have stored pieces of texts and failed; they are run again.")
	metricStreamAborted   = metric("streams_aborted_total", "Messages that this node ended since their producers said nothing any more.")
	metricSearchIndexed   = metric("search_indexed_events_total", "Events that the indexer of this node has looked at.")
	metricSearchFailures  = metric("search_failures_total", "Steps of the indexer that the store did not carry out; they are tried again.")
	metricSearchBehind    = metric("search_rooms_behind", "Rooms that this node is about to index.")
	metricSearchHolding   = metric("search_indexing", "1 at the node that indexes, else 0.")
	metricDocUpdates      = metric("doc_updates_total", "Updates of documents that were judged and had something that their document lacked, or nothing.", "result")
	metricDocCompactions  = metric("doc_compactions_total", "Transactions that put compacted documents in place.")
	metricDocFailures     = metric("doc_compaction_failures_total", "Compactions that the store did not carry out; they are tried again.")
	metricDocLarge        = metric("doc_large_total", "Compactions that left a document of 8 MiB or more.")
	metricDocLargest      = metric("doc_largest_bytes", "The largest document that this node has compacted since it started.")
	metricErasures        = metric("erasures_total", "Erasures of users that this node brought to their end.")
	metricErasedEvents    = metric("erased_events_total", "Events whose data this node removed for erasures.")
	metricErasureFailures = metric("erasure_failures_total", "Times that an erasure had to wait for the store.")
)

func (a *App) besides() besides {
	b := besides{presence: a.people.presence.Stats, signals: a.people.signals.Stats, search: a.indexer.Stats, erasure: a.eraser.Stats, docs: a.docs.Stats}
	if a.desk != nil {
		b.receipts = a.desk.Stats
	}
	if a.streams != nil {
		b.streams = a.streams.Stats
	}
	return b
}

func (b *besides) collect(gauge func(*prometheus.Desc, float64), count func(*prometheus.Desc, int64, ...string)) {
	p := b.presence()
	gauge(metricPresenceRooms, float64(p.Rooms))
	gauge(metricPresent, float64(p.Entries))
	gauge(metricPresenceStale, oneIf(p.Stale))
	count(metricPresenceShown, int64(p.Shown))
	count(metricPresenceSaid, int64(p.Said), "out")
	count(metricPresenceSaid, int64(p.Heard), "in")

	s := b.signals()
	gauge(metricSignalsAlive, float64(s.Alive))
	count(metricSignals, s.Taken)
	count(metricSignalsShown, s.Shown)
	count(metricSignalsSaid, s.Said, "out")
	count(metricSignalsSaid, s.Heard, "in")

	if b.receipts != nil {
		r := b.receipts()
		count(metricMarked, r.Asked)
		count(metricMarksStored, r.Stored)
		count(metricMarksRaised, r.Raised)
		count(metricMarkBatches, r.Batches)
		count(metricMarkReads, r.Loads-r.Repairs, "open")
		count(metricMarkReads, r.Repairs, "repair")
	}
	if b.streams != nil {
		t := b.streams()
		gauge(metricStreamsOpen, float64(t.Open))
		gauge(metricStreamBytes, float64(t.Bytes))
		count(metricStreamParts, t.Parts)
		count(metricStreamKept, t.Kept)
		count(metricStreamBehind, t.Behind)
		count(metricStreamFailures, t.Failures)
		count(metricStreamAborted, t.Aborted)
	}
	x := b.search()
	count(metricSearchIndexed, x.Indexed)
	count(metricSearchFailures, x.Failures)
	gauge(metricSearchBehind, float64(x.Behind))
	gauge(metricSearchHolding, oneIf(x.Holding))

	d := b.docs()
	count(metricDocUpdates, d.Updates, "stored")
	count(metricDocUpdates, d.Nothing, "known")
	count(metricDocCompactions, d.Compactions)
	count(metricDocFailures, d.Failures)
	count(metricDocLarge, d.Large)
	gauge(metricDocLargest, float64(d.Largest))

	e := b.erasure()
	count(metricErasures, e.Users)
	count(metricErasedEvents, e.Events)
	count(metricErasureFailures, e.Failures)
}

// oneIf is how a gauge says whether something is so.
func oneIf(so bool) float64 {
	if so {
		return 1
	}
	return 0
}
