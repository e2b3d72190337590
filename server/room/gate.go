package room

import "context"

// Gate is asked about each send to the rooms of a kind before it is stored. It may be used concurrently.
type Gate interface {
	// Ask gives the send as it is to be stored, or says why it is not: for good (`refused`), or for now
	// (`unavailable`). check judges what a gate puts in place of type and data, and gives that data compacted.
	// It blocks, until ctx ends at the latest.
	Ask(ctx context.Context, s Send, check func(typ string, data []byte) ([]byte, error)) (Send, *Error)
}

// Schema judges the data of one type of events: compacted JSON. It may be used concurrently.
type Schema interface {
	// Check refuses data that does not fit, as `bad_data` with the place in Field. The error repeats nothing of it.
	Check(data []byte) *Error
}

// CheckEvent judges a type and compacted data by what the policy says of them: `bad_type` where the kind takes
// other types only, `bad_data` where the type's schema is not met (rules DATA-5, DATA-6).
func (p Policy) CheckEvent(typ string, data []byte) error {
	if p.Types == nil {
		return nil
	}
	schema, taken := p.Types[typ]
	if !taken {
		return &Error{Code: CodeBadType, Title: "Rooms of this kind do not take events of this type.", Field: "type"}
	}
	if schema == nil {
		return nil
	}
	if err := schema.Check(data); err != nil {
		return err
	}
	return nil
}
