package wire

import "strconv"

// Degraded says which parts the server does without (rule NODE-2).
type Degraded struct {
	Parts    []string // their names; none: all is well again
	WithinMS int64    // by how much updates may be late meanwhile; not said where all is well
}

// AppendDegraded appends one framed degraded. On an EventStream it has no id: the stream stands where it stood.
func (f Framing) AppendDegraded(dst []byte, d Degraded) []byte {
	if f == EventStream {
		return append(d.appendFields(append(dst, "event: degraded\ndata: {"...)), "\n\n"...)
	}
	return AppendText(dst, d.appendFields([]byte(`{"op":"degraded",`)))
}

func (d Degraded) appendFields(dst []byte) []byte {
	dst = appendParts(append(dst, `"parts":`...), d.Parts)
	if len(d.Parts) > 0 {
		dst = strconv.AppendInt(append(dst, `,"within_ms":`...), d.WithinMS, 10)
	}
	return append(dst, '}')
}

// appendParts appends a list of strings.
func appendParts(dst []byte, parts []string) []byte {
	dst = append(dst, '[')
	for i, p := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, p)
	}
	return append(dst, ']')
}
