package room

import "context"

// KindStore is a [Store] that takes events from elsewhere than a server: from statements of the application in the same
// database. It judges them by what the kinds take, which a server tells it when it starts and when its kinds change.
type KindStore interface {
	// PutKinds puts these terms in place of those that were known, in one transaction. Of several servers, those of the
	// last count. Errors are as those of [AccessStore].
	PutKinds(ctx context.Context, terms []KindTerms) error
}

// KindTerms is what the rooms of one kind take from elsewhere.
type KindTerms struct {
	Kind         string   // "": every kind that has no terms of its own; without it such a kind is unknown
	Types        []string // the types of events that are taken; nil: every type
	EventBytes   int      // the largest data, compacted
	FrameBytes   int      // the largest data as it is given
	RoomsPerUser int      // how many rooms one author may have created; 0: any number
	StateKeys    int      // that a map may have; 0: the default, as of StateBytes
	StateBytes   int
	Closed       string // why no events are taken, in one sentence for a person; "": they are
}
