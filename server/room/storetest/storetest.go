// Package storetest is the suite that every room.Store passes. An adapter's test is a [Factory]; nothing
// in here knows a database. It imports the port and nothing of the server besides.
//
// The suite is made to catch stores that are nearly right: each run uses one handle and, where the
// database can be shared, two, because most faults of numbering show only between two writers.
package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
)

// Factory opens handles on one database, made empty for one test.
type Factory struct {
	// Open opens a handle. It is closed by the suite. A second call, with the first handle still open,
	// opens a second handle on the same database unless Single says why it cannot.
	Open func(t *testing.T) room.Store
	// Single is the reason why the database takes one handle at a time; empty where it takes several.
	Single string
	// Backdate makes the events of a room in [from, below) older by so much, as if they had been stored then.
	Backdate func(t *testing.T, id room.ID, from, below room.Seq, by time.Duration)
	// Rows counts what the database holds of all rooms, those that were deleted included: events, and beside
	// them tags of events that were pruned, what was sent of those that were rewritten, and cursors of hooks.
	Rows func(t *testing.T) (events, tags int64)
	// Receipts counts the rows that the database holds of receipts and their versions, of all rooms.
	Receipts func(t *testing.T) int64
	// Count counts the rows of a room directly in the database, beside any handle, and gives the largest
	// seq among them and the number of different (author, tag) pairs.
	Count func(t *testing.T, id room.ID) (rows, maxSeq, tags int64)
	// Jump sets the clock by which the store dates events off by that much. It is called before the first
	// Open, by the test that jumps, and between appends.
	Jump func(t *testing.T, by time.Duration)
	// Beside counts the rows that the database holds, of all rooms, beside events: those that were deleted included.
	Beside func(t *testing.T) Beside
	// Ordinals gives the ordinal of each event of a room by its seq, and how many messages the room's row counts.
	Ordinals func(t *testing.T, id room.ID) (events map[room.Seq]int64, messages int64)
	// Mentions gives the messages of a room that mention a user, by their seqs, each with its ordinal.
	Mentions func(t *testing.T, id room.ID, user string) map[room.Seq]int64
	// Holds lists the tables that have a row with these bytes in a column, of text or of bytes.
	Holds func(t *testing.T, what []byte) []string
	// PokeIn pokes topics in a transaction of its own, which stays open until commit is called. It and KeepPokes are
	// nil where the store has no pokes.
	PokeIn func(t *testing.T, topics ...room.Topic) (commit func())
	// KeepPokes says for how long a handle keeps pokes that are visible, before it removes them when it is asked.
	KeepPokes func(t *testing.T, s room.Store, age time.Duration)
}

// Beside is how many rows changes, mentions and members take.
type Beside struct{ Edits, Reactions, Redactions, Mentions, Members int64 }

// Run runs the suite. make is called once per case, and what it makes is used by that case alone.
func Run(t *testing.T, make func(t *testing.T) Factory) {
	cases := []struct {
		name string
		run  func(t *testing.T, f Factory)
	}{
		{"EmptyRoom", testEmptyRoom},
		{"FirstAppend", testFirstAppend},
		{"BatchOrder", testBatchOrder},
		{"Tags", testTags},
		{"TagsWithinBatch", testTagsWithinBatch},
		{"Repeat", testRepeat},
		{"RetryBurnsNothing", testRetryBurnsNothing},
		{"Marks", testMarks},
		{"Growth", testGrowth},
		{"Data", testData},
		{"Spans", testSpans},
		{"SpansAbovePruned", testSpansAbovePruned},
		{"MaxBytes", testMaxBytes},
		{"Heads", testHeads},
		{"LargeBatch", testLargeBatch},
		{"WritersDense", testWritersDense},
		{"WritersOrder", testWritersOrder},
		{"WritersSameTags", testWritersSameTags},
		{"WritersManyRooms", testWritersManyRooms},
		{"ReadersDense", testReadersDense},
		{"Cancel", testCancel},
		{"Close", testClose},
		{"Reopen", testReopen},
		{"ClockJumps", testClockJumps},
		{"Model", testModel},
		{"PruneByNumber", testPruneByNumber},
		{"PruneByAge", testPruneByAge},
		{"PruneEverything", testPruneEverything},
		{"PrunedTags", testPrunedTags},
		{"TagWindow", testTagWindow},
		{"Overdue", testOverdue},
		{"PruneUnderLoad", testPruneUnderLoad},
		{"CreateRoom", testCreateRoom},
		{"ListRooms", testListRooms},
		{"DeleteRoom", testDeleteRoom},
		{"DeleteUnderLoad", testDeleteUnderLoad},
		{"RoomLimit", testRoomLimit},
		{"RoomLimitUnderLoad", testRoomLimitUnderLoad},
		{"HookBegins", testHookBegins},
		{"HookMoves", testHookMoves},
		{"HooksBehind", testHooksBehind},
		{"Rewritten", testRewritten},
		{"Changes", testChanges},
		{"ChangeTargets", testChangeTargets},
		{"ChangeRights", testChangeRights},
		{"PresentContent", testPresentContent},
		{"Seen", testSeen},
		{"Streams", testStreams},
		{"StreamsOver", testStreamsOver},
		{"StreamsLease", testStreamsLease},
		{"StreamsOfDeleted", testStreamsOfDeleted},
		{"Reactions", testReactions},
		{"Redaction", testRedaction},
		{"RedactionRewritten", testRedactionRewritten},
		{"RedactionPruned", testRedactionPruned},
		{"ChangesPruned", testChangesPruned},
		{"ChangesOfDeletedRoom", testChangesOfDeletedRoom},
		{"Ordinals", testOrdinals},
		{"Mentions", testMentions},
		{"ChangesUnderLoad", testChangesUnderLoad},
		{"ReactionsUnderLoad", testReactionsUnderLoad},
		{"ChangesModel", testChangesModel},
		{"Members", testMembers},
		{"MembersListed", testMembersListed},
		{"Memberships", testMemberships},
		{"MembersLast", testMembersLast},
		{"MembersUnderLoad", testMembersUnderLoad},
		{"Bans", testBans},
		{"Revocations", testRevocations},
		{"AccessLasts", testAccessLasts},
		{"Tickets", testTickets},
		{"Pokes", testPokes},
		{"PokesLate", testPokesLate},
		{"PokesForgotten", testPokesForgotten},
		{"PokesOfChanges", testPokesOfChanges},
		{"Overviews", testOverviews},
		{"OverviewsModel", testOverviewsModel},
		{"SearchWords", testSearchWords},
		{"SearchSteps", testSearchSteps},
		{"SearchGone", testSearchGone},
		{"SearchBehind", testSearchBehind},
		{"SearchRandom", testSearchRandom},
		{"Duties", testDuties},
		{"Mutes", testMutes},
		{"Erase", testErase},
		{"EraseParts", testEraseParts},
		{"EraseLooks", testEraseLooks},
		{"ErasePartsOfDeletedRoom", testErasePartsOfDeletedRoom},
		{"ErasePartsUnderLoad", testErasePartsUnderLoad},
		{"Erasures", testErasures},
		{"ErasedBeside", testErasedBeside},
		{"Reports", testReports},
		{"ReportsTold", testReportsTold},
		{"ReportsUnderLoad", testReportsUnderLoad},
		{"StateModel", testStateModel},
		{"StateRace", testStateRace},
		{"StateErased", testStateErased},
		{"StateDead", testStateDead},
		{"DocsModel", testDocsModel},
		{"DocsRace", testDocsRace},
		{"DocIDs", testDocIDs},
		{"DocIDsRace", testDocIDsRace},
		{"ReceiptMarks", testReceiptMarks},
		{"ReceiptBatch", testReceiptBatch},
		{"Readers", testReaders},
		{"UnreadModel", testUnreadModel},
		{"UnreadMany", testUnreadMany},
		{"UnreadOfMembers", testUnreadOfMembers},
		{"ReceiptsUnderLoad", testReceiptsUnderLoad},
		{"ReceiptsEnd", testReceiptsEnd},
		{"ReceiptsDeleteUnderLoad", testReceiptsDeleteUnderLoad},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, make(t)) })
	}
}

// open opens a handle that is closed when the test ends.
func (f Factory) open(t *testing.T) room.Store {
	t.Helper()
	s := f.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// pair opens two handles on the database; where it takes one only, both are the same, and the log says why.
func (f Factory) pair(t *testing.T) [2]room.Store {
	t.Helper()
	a := f.open(t)
	if f.Single != "" {
		t.Logf("one handle takes the part of both: %s", f.Single)
		return [2]room.Store{a, a}
	}
	return [2]room.Store{a, f.open(t)}
}

// within bounds one test; a store that hangs fails it instead of stopping the run.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

var tags atomic.Uint64

// newTag makes a tag that no other call makes.
func newTag() room.Tag {
	var t room.Tag
	binary.BigEndian.PutUint64(t[:8], tags.Add(1))
	binary.BigEndian.PutUint64(t[8:], rand.Uint64())
	return t
}

// say is a send of a message with a new tag.
func say(id room.ID, author, text string) room.Send {
	return room.Send{Room: id, Author: author, Tag: newTag(), Type: "message", Data: fmt.Appendf(nil, `{"text":%q}`, text)}
}

// fill appends n messages to a room, at most 100 per batch, and returns the sends.
func fill(t *testing.T, s room.Store, id room.ID, n int) []room.Send {
	t.Helper()
	sends := make([]room.Send, n)
	for i := range sends {
		sends[i] = say(id, "u1", fmt.Sprint(i+1))
	}
	for batch := range slices.Chunk(sends, 100) {
		mustAppend(t, s, batch...)
	}
	return sends
}

func mustAppend(t *testing.T, s room.Store, batch ...room.Send) room.Appended {
	t.Helper()
	out, err := s.Append(within(t), batch)
	if err != nil {
		t.Fatalf("append of %d: %v", len(batch), err)
	}
	if len(out.Verdicts) != len(batch) {
		t.Fatalf("append of %d gave %d verdicts", len(batch), len(out.Verdicts))
	}
	return out
}

func mustRead(t *testing.T, s room.Store, q room.Query) room.Page {
	t.Helper()
	p, err := s.Read(within(t), q)
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return p
}

// mustHead is the head of one room.
func mustHead(t *testing.T, s room.Store, id room.ID) room.Head {
	t.Helper()
	heads, err := s.Heads(within(t), []room.ID{id})
	if err != nil || len(heads) != 1 {
		t.Fatalf("heads of %s: %v, %v", id, heads, err)
	}
	return heads[0]
}

// mustLog reads a whole room, and fails unless its pages adjoin.
func mustLog(t *testing.T, s room.Store, id room.ID) []room.Event {
	t.Helper()
	var log []room.Event
	at := room.Position{}
	for {
		p := mustRead(t, s, room.Query{Room: id, Anchor: room.After, Seq: at.Seq, Limit: 200})
		if p.Prev != at.Seq || p.PrevMark != at.Mark {
			t.Fatalf("PAGE-6: the page after %d begins at %d/%s, not at mark %s", at.Seq, p.Prev, p.PrevMark, at.Mark)
		}
		log = append(log, p.Events...)
		was := at.Seq
		if at = p.Position(); at.Seq >= p.Head.Seq {
			return log
		}
		if at.Seq <= was {
			t.Fatalf("I3: the page after %d does not advance, although the head is %d", was, p.Head.Seq)
		}
	}
}

// checkDense fails unless seqs run from..from+n−1 without hole or repeat (ROOM-5).
func checkDense(t *testing.T, events []room.Event, from room.Seq, n int) {
	t.Helper()
	if len(events) != n {
		t.Fatalf("ROOM-5: %d events, not %d", len(events), n)
	}
	for i, e := range events {
		if e.Seq != from+room.Seq(i) {
			t.Fatalf("ROOM-5: the event at place %d has seq %d, not %d", i, e.Seq, from+room.Seq(i))
		}
	}
}

// checkStored fails unless the event at a verdict's seq is the send.
func checkStored(t *testing.T, e room.Event, s room.Send, v room.Verdict) {
	t.Helper()
	switch {
	case e.Seq != v.Seq, e.Mark != v.Mark, !e.At.Equal(v.At):
		t.Fatalf("the verdict %+v is not that of the event %d/%s at %s", v, e.Seq, e.Mark, e.At)
	case e.Author != s.Author, e.Tag != s.Tag, e.Type != s.Type, string(e.Data) != string(s.Data):
		t.Fatalf("event %d is %s %s %s %.80q, sent was %s %s %s %.80q", e.Seq, e.Author, e.Tag, e.Type, e.Data, s.Author, s.Tag, s.Type, s.Data)
	}
}
