package room

import (
	"fmt"
	"strconv"
	"strings"
)

// Epoch identifies a room's numbering: opaque, at most 32 bytes of `[A-Za-z0-9_-]`. It changes
// when the room is recreated or the store is known to have been restored.
type Epoch string

// Mark is the random value that a store draws per append transaction and keeps with each event:
// 8 hex digits on the wire. It tells a fork of history that an epoch alone would miss.
// The zero Mark is "none": that of seq 0, or of a position that names no mark.
type Mark uint32

// String is the mark as 8 lower-case hex digits.
func (m Mark) String() string { return fmt.Sprintf("%08x", uint32(m)) }

// Position is where a cursor stands: everything up to and including Seq has been seen.
// Epoch is empty and Mark is none where the client did not say.
type Position struct {
	Epoch Epoch
	Seq   Seq
	Mark  Mark
}

// String is the wire form that [ParsePosition] reads: `SEQ`, `EPOCH:SEQ` or `EPOCH:SEQ:MARK`.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends the wire form of p to dst.
func (p Position) Append(dst []byte) []byte {
	if p.Epoch == "" {
		return strconv.AppendInt(dst, p.Seq, 10)
	}
	dst = append(dst, p.Epoch...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, p.Seq, 10)
	if p.Mark == 0 {
		return dst
	}
	const hex = "0123456789abcdef"
	dst = append(dst, ':')
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hex[p.Mark>>shift&15])
	}
	return dst
}

const maxEpochLen = 32

// ParsePosition reads `SEQ`, `EPOCH:SEQ` or `EPOCH:SEQ:MARK` (rule POS-1). Anything else,
// a negative or padded number, or one beyond 2^53−1, is `bad_position`.
func ParsePosition(s string) (Position, error) {
	parts := strings.Split(s, ":")
	var p Position
	var seq, mark string
	switch len(parts) {
	case 1:
		seq = parts[0]
	case 2:
		p.Epoch, seq = Epoch(parts[0]), parts[1]
	case 3:
		p.Epoch, seq, mark = Epoch(parts[0]), parts[1], parts[2]
	default:
		return Position{}, badPosition()
	}
	if len(parts) > 1 && !p.Epoch.valid() {
		return Position{}, badPosition()
	}
	var ok bool
	if p.Seq, ok = parseSeq(seq); !ok {
		return Position{}, badPosition()
	}
	if len(parts) == 3 {
		if p.Mark, ok = parseMark(mark); !ok || p.Seq == 0 {
			return Position{}, badPosition()
		}
	}
	return p, nil
}

// ParseSeq reads a decimal seq, 0 to 2^53−1, without sign or padding.
func ParseSeq(s string) (Seq, error) {
	n, ok := parseSeq(s)
	if !ok {
		return 0, badPosition()
	}
	return n, nil
}

func parseSeq(s string) (Seq, bool) {
	if s == "" || len(s) > 16 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	var n Seq
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + Seq(s[i]-'0')
	}
	return n, n <= MaxSeq
}

func parseMark(s string) (Mark, bool) {
	if len(s) != 8 || strings.ToLower(s) != s {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 32)
	return Mark(n), err == nil && n != 0
}

func (e Epoch) valid() bool {
	if e == "" || len(e) > maxEpochLen {
		return false
	}
	for i := range len(e) {
		if c := e[i]; !isAlnum(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func badPosition() *Error {
	return &Error{
		Code:  CodeBadPosition,
		Title: "A position is SEQ, EPOCH:SEQ or EPOCH:SEQ:MARK as the server gave it; 0 is the beginning.",
		Field: "position",
	}
}

// ResetReason says why a position cannot be continued (rule RESET-1).
type ResetReason string

// The reasons of a reset.
const (
	ResetPruned   ResetReason = "pruned"   // events after the position are gone
	ResetEpoch    ResetReason = "epoch"    // the position belongs to another numbering
	ResetDiverged ResetReason = "diverged" // the event at the position is not the one the client saw
	ResetAhead    ResetReason = "ahead"    // the position is beyond the head
	ResetTooFar   ResetReason = "too_far"  // more is missing than the client wants replayed
)

// ResetReasons lists every reason, in the order of the protocol document.
func ResetReasons() []ResetReason {
	return []ResetReason{ResetPruned, ResetEpoch, ResetDiverged, ResetAhead, ResetTooFar}
}
