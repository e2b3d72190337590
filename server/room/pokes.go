package room

import (
	"context"
	"errors"
)

// Pokes is a store through which nodes tell each other that something changed, where no bus does. A poke says
// what to look at and nothing else: [RoomTopic], the room may have grown, lost its oldest events or be gone;
// [ClusterTopic], access may have changed. It becomes visible with the transaction that wrote it, so who looks
// after it sees what it was about. A store that one node alone may use does not implement it.
//
// Every change of a [Pruner], of [Rooms.Delete] and of an [AccessStore] pokes by itself, in its own transaction. An
// append does not: whoever makes it tells the others by the bus, or by Poke.
//
// All methods may be called concurrently. Errors are those of reads: *Error, `unavailable`.
type Pokes interface {
	// Poke tells every reader once of each of the topics, after it has returned and never before. If ctx ends
	// meanwhile, it may have happened.
	Poke(ctx context.Context, topics []Topic) error

	// Poked gives the topics that were poked since an earlier call, each once and in no order, and where the next
	// call goes on: now, which stands for what was visible to this one, whatever the order in which transactions began.
	// Nothing that a reader asks for is lost, however late it asks: what it can no longer be told is ErrPokesMissed.
	//
	// since is the now of an earlier call of any handle on this database; "": nothing yet, which gives only now.
	Poked(ctx context.Context, since string) (topics []Topic, now string, err error)
}

// ErrPokesMissed is the error of [Pokes.Poked] for a since that the store cannot tell all pokes from: it is older than
// what is kept (at least a minute), or of another database, or from before the server was started, restored or
// had crashed. Anything may have changed, rooms and access; now is valid and is where to go on from.
var ErrPokesMissed = errors.New("pokes were missed: anything may have changed")
