package transport

import "roomlog/server/room"

// tell counts an error that a client is told.
func (s *Server) tell(code room.Code) {
	if n := s.told[code]; n != nil {
		n.Add(1)
	}
}

// tellOnce counts the reason of a connection's end, which several may come to say.
func (s *Server) tellOnce(why *ending) {
	if !why.told.Swap(true) {
		s.tell(why.err.Code)
	}
}

// Errors counts, by code, the errors that clients were told since the start, over all transports: in
// answers, in error frames, and as the reason of a close. Every code is there.
func (s *Server) Errors() map[room.Code]int64 {
	all := make(map[room.Code]int64, len(s.told))
	for code, n := range s.told {
		all[code] = n.Load()
	}
	return all
}
