package transport

import (
	"slices"
	"time"

	"roomlog/server/wire"
)

// degradedWithin is by how much updates may be late while the server does without a part (rule NODE-2).
const degradedWithin = time.Second

// degradation is what the server does without at a time, and how connections are told. It never changes.
type degradation struct {
	parts  []string // sorted, each once
	frames [wire.Framings][]byte
}

func newDegradation(parts []string) *degradation {
	d := &degradation{parts: slices.Compact(slices.Sorted(slices.Values(parts)))}
	for f := range d.frames {
		d.frames[f] = wire.Framing(f).AppendDegraded(nil, wire.Degraded{Parts: d.parts, WithinMS: degradedWithin.Milliseconds()})
	}
	return d
}

// SetDegraded says which parts the server does without from now on, such as "bus"; none: all is well. Every
// connection is told, and whoever comes while something is amiss. A slow one hears only the latest. It may be called
// concurrently, and does not wait for anybody.
func (s *Server) SetDegraded(parts []string) {
	s.degrading.Lock()
	defer s.degrading.Unlock()
	d := newDegradation(parts)
	if slices.Equal(d.parts, s.degraded.Load().parts) {
		return
	}
	s.degraded.Store(d)
	for _, g := range s.roster.of("") {
		g.link.inform(d)
	}
}

// Degraded lists the parts that the server does without, by name; mostly none. It must not be changed.
func (s *Server) Degraded() []string { return s.degraded.Load().parts }

// greet tells one who has just come what is amiss. They are on the roster, so a change that it does not see here is told
// them by SetDegraded; what was told here may have come after that, and is looked at again.
func (s *Server) greet(l link) {
	for told := (*degradation)(nil); ; {
		d := s.degraded.Load()
		if d == told || told == nil && len(d.parts) == 0 {
			return
		}
		l.inform(d)
		told = d
	}
}

func (c *socket) inform(d *degradation) { c.hub.ReplyLatest(d.frames[wire.WebSocket]) }

// inform tells nothing before the head of the answer is on its way; see serve.
func (t *stream) inform(d *degradation) {
	if t.begun.Load() {
		t.hub.ReplyLatest(d.frames[wire.EventStream])
	}
}

// inform tells nobody: a poll hears of it in its answer.
func (p *parked) inform(*degradation) {}
