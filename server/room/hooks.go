package room

import (
	"context"
	"crypto/sha256"
)

// HookStore is a [Store] that keeps the cursors of webhooks: for each hook and room, what the hook has been
// given. A cursor that is not kept stands at the beginning (the zero Position).
type HookStore interface {
	Store

	// BeginHook makes a hook known for the rooms of a kind. The first time, its cursors are put at the heads
	// of the rooms that there are, unless fromStart asks for what they hold; later times change nothing. So a
	// room that comes after it is delivered from its first event on.
	BeginHook(ctx context.Context, hook, kind string, fromStart bool) error

	// HookCursor is where a hook stands in a room.
	HookCursor(ctx context.Context, hook string, id ID) (Position, error)

	// MoveHookCursor puts a cursor to a position and returns once that is durable. from is where the caller
	// saw it; when it has been moved meanwhile, nothing happens and moved is false. nil moves it from anywhere.
	// moved is false too for a room that nobody wrote to.
	MoveHookCursor(ctx context.Context, hook string, id ID, from *Position, to Position) (moved bool, err error)

	// HooksBehind looks at rooms of a kind in the order of their names, from the one after `after` on, at most
	// limit of them, and lists those that hold something the hook has not been given, or not any more what it was
	// given. next is the last that it looked at, to go on from; empty: there are no more.
	HooksBehind(ctx context.Context, hook, kind string, after ID, limit int) (behind []ID, next ID, err error)
}

// Fingerprint stands for the type and data of an event: SHA-256 over both.
type Fingerprint [sha256.Size]byte

// FingerprintOf is that of a type and compacted data.
func FingerprintOf(typ string, data []byte) Fingerprint {
	h := sha256.New()
	h.Write([]byte(typ))
	h.Write([]byte{0}) // no type has it
	h.Write(data)
	return Fingerprint(h.Sum(nil))
}

// AsSent is the fingerprint of what the author sent: of the send itself, unless it was rewritten.
func (s *Send) AsSent() Fingerprint {
	if s.Sent != (Fingerprint{}) {
		return s.Sent
	}
	return FingerprintOf(s.Type, s.Data)
}

// Rewritten reports whether the store has to remember what the author sent, since it keeps something else.
func (s *Send) Rewritten() bool {
	return s.Sent != (Fingerprint{}) && s.Sent != FingerprintOf(s.Type, s.Data)
}
