//go:build !mutant

package transport

import "net/http"

// The faulty variants of this package are in mutant_on.go.

func (s *Server) mutateEnforce() bool { return false }

func (s *Server) mutateFeed() bool { return false }

func (s *Server) mutateHistory(*http.Request) bool { return false }
