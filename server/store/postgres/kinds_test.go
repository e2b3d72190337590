package postgres

import (
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// Nodes of a cluster start together: each says what the kinds take, in turn, and none ends for it. To prepare a statement
// locks its table too: another transaction holds both at whatever they ask for first, and lets both go on at once.
func TestServersThatStartTogetherTakeTurns(t *testing.T) {
	dsn := pgtest.DB(t)
	stores := []*Store{open(t, dsn), open(t, dsn)}
	other := direct(t, dsn)
	tx, err := other.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "lock table roomlog.kinds in share row exclusive mode")
	must(t, err)
	terms := []room.KindTerms{{Kind: "chat", EventBytes: 1, FrameBytes: 2}}
	errs := make([]error, len(stores))
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() { errs[i] = s.PutKinds(t.Context(), terms) })
	}
	looking := direct(t, dsn)
	for waiting := 0; waiting < len(stores); time.Sleep(5 * time.Millisecond) { // between two looks at another process
		must(t, looking.QueryRow(t.Context(),
			"select count(*) from pg_locks where relation = 'roomlog.kinds'::regclass and not granted").Scan(&waiting))
	}
	must(t, tx.Commit(t.Context()))
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("server %d: %v", i, err)
		}
	}
	var kinds int
	must(t, looking.QueryRow(t.Context(), "select count(*) from roomlog.kinds").Scan(&kinds))
	if kinds != 1 {
		t.Errorf("%d kinds are stored, not 1", kinds)
	}
}
