package room

import "slices"

// NoData is the data of what was deleted. It must not be changed.
var NoData = []byte("null")

// Deletion is what a delete event did: Gone is what is left of the message Target, and of its edits.
type Deletion struct {
	Target Seq
	Gone   Gone
}

// Deletion is what e deleted; false: it is no delete event, or one of before there were any.
func (e *Event) Deletion() (Deletion, bool) {
	if e.Type != TypeDelete || e.Target == 0 {
		return Deletion{}, false
	}
	return Deletion{e.Target, Gone{Seq: e.Seq, By: e.Author, At: e.At}}, true
}

// Concerns reports whether e is what was deleted, or an edit of it.
func (d Deletion) Concerns(e *Event) bool {
	return e.Seq == d.Target || e.Type == TypeEdit && e.Target == d.Target
}

// Redact puts what is left in place of those of events that were deleted (rule CHG-7). The events are not changed: where one
// is concerned, the result is a copy.
func (d Deletion) Redact(events []Event) []Event {
	copied := false
	for i := range events {
		if !d.Concerns(&events[i]) || events[i].Gone != nil {
			continue
		}
		if !copied {
			events, copied = slices.Clone(events), true
		}
		gone := d.Gone
		e := &events[i]
		e.Data, e.Gone, e.Edited, e.Reactions = NoData, &gone, nil, nil
	}
	return events
}

// RedactAll does to events what the deletions among them did.
func RedactAll(events []Event) []Event {
	for i := range events {
		if d, is := events[i].Deletion(); is {
			events = d.Redact(events)
		}
	}
	return events
}
