package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Op says what a line is about.
type Op string

// The operations.
const (
	OpInvoke Op = "invoke" // a send is about to leave
	OpSend   Op = "send"   // a send was answered, or given up
	OpJoin   Op = "join"   // a cursor starts or resumes
	OpPage   Op = "page"   // a delivery covering (prev, seq] arrived; its events follow
	OpEvent  Op = "event"  // one event of the page before it
	OpReset  Op = "reset"  // the server said that the cursor cannot go on
	OpLeave  Op = "leave"  // the cursor ended by the client's wish
	OpQuiet  Op = "quiet"  // all faults are healed and no send is under way or to come
	OpFinal  Op = "final"  // one event of a room's log as it is after the run; seq 0: it is empty
	OpSQL    Op = "sql"    // a snapshot of a room's rows, read during the run
	OpHead   Op = "head"   // a client asked how far a room goes, and was told

	OpQueue   Op = "queue"   // a send was put into an outbox, connected or not
	OpSettled Op = "settled" // what an outbox said of it in the end
	OpToken   Op = "token"   // a client took a token that is good until t_end
	OpEnd     Op = "end"     // the server ended a connection
	OpMay     Op = "may"     // a client may read a room; one that has such lines may read no other
	OpDeny    Op = "deny"    // a client was refused a room
	OpRevoke  Op = "revoke"  // a user was taken a room, or all
	OpAllow   Op = "allow"   // a revocation was lifted
	OpRestore Op = "restore" // the store was put back, or given another epoch
	OpStop    Op = "stop"    // a node was asked to end, and ended
	OpGauge   Op = "gauge"   // a measure of the run and the most it may be
	OpDown    Op = "down"    // a part that nodes depend on was down
)

// ops are all of them.
var ops = []Op{
	OpInvoke, OpSend, OpJoin, OpPage, OpEvent, OpReset, OpLeave, OpQuiet, OpFinal, OpSQL, OpHead, OpQueue, OpSettled,
	OpToken, OpEnd, OpMay, OpDeny, OpRevoke, OpAllow, OpRestore, OpStop, OpGauge, OpDown,
}

// Via is the way an event came.
type Via string

// The ways.
const (
	ViaLive    Via = "live"    // as it happened
	ViaReplay  Via = "replay"  // with the answer to a join, or catching up after it
	ViaPoll    Via = "poll"    // by polling
	ViaHistory Via = "history" // by reading back, as for final lines
	ViaSQL     Via = "sql"     // straight from the database, for final lines
)

// Outcome is how a send ended. A timeout or a close before the answer is unknown, never fail.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Fail    Outcome = "fail"    // refused for certain: nothing was stored by this attempt
	Unknown Outcome = "unknown" // may have been stored, or may still be
)

// Line is one line of a history. Which fields an op needs is in README.md.
type Line struct {
	TMono       int64   `json:"t_mono"`          // nanoseconds of the machine's monotonic clock: when it happened, or was invoked
	TEnd        int64   `json:"t_end,omitempty"` // send, head, revoke, restore, stop, down: when the answer came, or it ended; token: when it ends
	Client      string  `json:"client"`
	Node        string  `json:"node,omitempty"`
	Transport   string  `json:"transport,omitempty"`
	Op          Op      `json:"op"`
	Room        string  `json:"room,omitempty"`
	Epoch       string  `json:"epoch,omitempty"`
	Author      string  `json:"author,omitempty"`
	Tag         string  `json:"tag,omitempty"`
	PayloadHash string  `json:"payload_hash,omitempty"` // see Hash
	Seq         int64   `json:"seq,omitempty"`
	Prev        int64   `json:"prev,omitempty"`  // page: where it starts; join: the position it resumes from
	Fresh       bool    `json:"fresh,omitempty"` // join, head: without a position
	Sub         string  `json:"sub,omitempty"`   // tells apart the cursors of one client in one room
	Order       int64   `json:"order,omitempty"` // invoke, send: from 1, this event's place among the client's sends to the room; retries keep it
	Via         Via     `json:"via,omitempty"`
	Result      Outcome `json:"result,omitempty"`
	Code        string  `json:"code,omitempty"`   // send, deny, settled: the error code; end: the close code or error code; gauge: the invariant; down: the part
	Reason      string  `json:"reason,omitempty"` // reset; gauge: what is measured
	Floor       int64   `json:"floor,omitempty"`  // final, sql: the oldest seq kept; absent: 1. page, reset: as told with it
	Head        int64   `json:"head,omitempty"`   // page: the head as told with it
	Count       int64   `json:"count,omitempty"`  // sql: rows; gauge: the measure; end: when to come back, in ms
	Min         int64   `json:"min,omitempty"`    // sql: the smallest seq
	Max         int64   `json:"max,omitempty"`    // sql: the largest seq; gauge: the most it may be; quiet, revoke, down: the bound in ns

	file int32 // of the files read
	no   int32 // line number, from 1
}

// Hash is the payload_hash of an event's data: the first 16 hex digits of the SHA-256 of its JSON
// text without insignificant space.
func Hash(data []byte) string {
	var text bytes.Buffer
	if json.Compact(&text, data) != nil { // not JSON: no server stores it, but a test may send it
		text.Reset()
		text.Write(data)
	}
	sum := sha256.Sum256(text.Bytes())
	return hex.EncodeToString(sum[:8])
}
