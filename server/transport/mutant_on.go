//go:build mutant

package transport

import (
	"net/http"
	"os"
)

// mutant names the fault of this build: revoke_later, history_open or feed_open. Each must be caught by the test that
// mutants.txt names, or the test proves nothing.
var mutant = os.Getenv("ROOMLOG_MUTANT")

// mutateEnforce lets connections keep what they have when access is taken back.
func (s *Server) mutateEnforce() bool { return mutant == "revoke_later" }

// mutateFeed tells of rooms without asking whether they may be read.
func (s *Server) mutateFeed() bool { return mutant == "feed_open" }

// mutateHistory reads back without asking whether the room may be read.
func (s *Server) mutateHistory(r *http.Request) bool {
	return mutant == "history_open" && r.URL.Query().Has("before")
}
