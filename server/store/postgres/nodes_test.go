package postgres

import (
	"fmt"
	"sync"
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// One send that comes to three nodes at once, and again later, is one event, and all are told the same of it (TAG-6, I7).
func TestTagsAcrossNodes(t *testing.T) {
	const sends = 20
	dsn := pgtest.DB(t)
	var nodes []*Store
	for i := range 3 {
		s := open(t, fmt.Sprintf("%s&application_name=roomlog-%d", dsn, i))
		t.Cleanup(func() { _ = s.Close() })
		nodes = append(nodes, s)
	}
	told := make([][sends]room.Verdict, len(nodes))
	for again := range 2 {
		var sending sync.WaitGroup
		for i, s := range nodes {
			sending.Go(func() {
				for n := range sends {
					send := room.Send{Room: "chat:a", Author: "w", Tag: room.Tag{15: byte(n + 1)}, Type: "message", Data: fmt.Appendf(nil, `%d`, n)}
					a, err := s.Append(t.Context(), []room.Send{send})
					for err == nil && a.Verdicts[0].Held { // by another node: it was not judged
						a, err = s.Append(t.Context(), []room.Send{send})
					}
					if err != nil {
						t.Error(err)
						return
					}
					v := a.Verdicts[0]
					if again > 0 && (!v.Duplicate || v.Seq != told[i][n].Seq) {
						t.Errorf("node %d, send %d: seq %d at first, then %+v", i, n, told[i][n].Seq, v)
					}
					told[i][n] = v
				}
			})
		}
		sending.Wait()
	}
	for n := range sends {
		for i := range nodes {
			if told[i][n].Seq != told[0][n].Seq || told[i][n].Mark != told[0][n].Mark {
				t.Errorf("send %d is seq %d at node 0 and %d at node %d", n, told[0][n].Seq, told[i][n].Seq, i)
			}
		}
	}
	var rows int
	if err := direct(t, dsn).QueryRow(t.Context(), "select count(*) from roomlog.events").Scan(&rows); err != nil || rows != sends {
		t.Errorf("%d sends are %d rows: %v", sends, rows, err)
	}
}
