package postgres

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// seedOf is the seed of a random test: ROOMLOG_SEED, or a new one. It is in the log.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("ROOMLOG_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("ROOMLOG_SEED=%d", seed)
	return seed
}

// scraps are what JSON is made of, and what makes it wrong.
var scraps = []string{
	`{`, `}`, `[`, `]`, `,`, `:`, `"`, `"`, `"a"`, `"b":`, `\`, `\\`, `\"`, `\/`, `\n`, `\u0000`, `\\u0000`, `\u00e9`, `\ud83d`, `\ude00`, `\x`, `\u12`,
	`0`, `-0`, `1`, `01`, `1.`, `.5`, `1e9`, `1E+400`, `-`, `true`, `false`, `null`, `nul`, ` `, "\n", "\t", "\r", "\f", "\v", "\x01", "\x02", "\x7f",
	"\u0085", "\u00a0", "\u2028", "\ufeff", "é", "😀", `'`, `/*x*/`, `"\\"`, `"[{"`, `[[]]`, `{"a":[1, 2]}`, `"a b"`, ` "x" : "y z" `,
}

// randomText is sometimes JSON, sometimes nearly, mostly not.
func randomText(rng *rand.Rand, depth int) string {
	var b strings.Builder
	switch space := strings.Repeat(" ", rng.IntN(2)); rng.IntN(4) {
	case 0:
		for range rng.IntN(12) {
			b.WriteString(scraps[rng.IntN(len(scraps))])
		}
	case 1:
		if depth > 0 {
			fmt.Fprintf(&b, "[%s%s%s,%s]", space, randomText(rng, depth-1), space, randomText(rng, depth-1))
			break
		}
		fallthrough
	case 2:
		if depth > 0 {
			fmt.Fprintf(&b, `{"%s"%s:%s%s}`, []string{"a", " ", `\"`, `\\`, `é "`}[rng.IntN(5)], space, space, randomText(rng, depth-1))
			break
		}
		fallthrough
	default:
		b.WriteString(space + []string{`1`, `"x"`, `" y\\"`, `"\" \\\" {"`, `null`, `-1.50e3`, `[]`, `{ }`, `""`}[rng.IntN(9)])
	}
	return b.String()
}

// TestCompactIsTheServers: of any text SQL makes the same, or refuses it by the same code, as the server does.
func TestCompactIsTheServers(t *testing.T) {
	dsn := pgtest.DB(t)
	must(t, open(t, dsn).Close())
	conn := direct(t, dsn)
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	taken := 0
	for range 4000 {
		text, limit := randomText(rng, 4), []int{room.MaxData, 20}[rng.IntN(2)]
		var got string
		err := conn.QueryRow(t.Context(), "select roomlog.compact($1, $2)", text, limit).Scan(&got)
		want, refused := room.CompactData([]byte(text), limit)
		var e *pgconn.PgError
		switch {
		case refused == nil:
			taken++
			if err != nil || got != string(want) {
				t.Fatalf("%q becomes %q (%v), want %q", text, got, err, want)
			}
		case !errors.As(err, &e) || !strings.HasPrefix(e.Message, string(room.AsError(refused).Code)+": "):
			t.Fatalf("%q becomes %q, %v; want %v", text, got, err, refused)
		}
	}
	if taken < 400 {
		t.Errorf("only %d of 4000 texts were JSON", taken)
	}
}

// TestAppendFromSQLBesideServers: transactions of an application, some rolled back, and two servers append to the same
// rooms, which none of them has made before; every room is dense, with each committed event once and in its writer's order.
func TestAppendFromSQLBesideServers(t *testing.T) {
	dsn := pgtest.DB(t)
	servers := []*Store{open(t, dsn), open(t, dsn)}
	for _, s := range servers {
		defer s.Close()
	}
	take(t, servers[0], room.KindTerms{Kind: "chat"})
	rng := rand.New(rand.NewPCG(seedOf(t), 1))
	const rooms, writers, each = 3, 4, 15
	var mu sync.Mutex
	committed := make(map[room.ID]map[string]int) // by room and author: how many, each numbered
	count := func(id room.ID, author string) {
		mu.Lock()
		defer mu.Unlock()
		if committed[id] == nil {
			committed[id] = make(map[string]int)
		}
		committed[id][author]++
	}
	bySQL := func(author string, mine *rand.Rand, conn *pgx.Conn) error {
		numbers := make(map[room.ID]int)
		for range each {
			id := room.ID(fmt.Sprint("chat:", mine.IntN(rooms)))
			tx, err := conn.Begin(t.Context())
			if err == nil {
				_, err = appendFromSQL(t, tx, room.Send{Room: id, Author: author, Tag: room.Tag(uuid.New()), Type: "message", Data: fmt.Append(nil, numbers[id])})
			}
			if err == nil && mine.IntN(3) == 0 {
				if err := tx.Rollback(t.Context()); err != nil {
					return err
				}
				continue
			}
			if err == nil {
				err = tx.Commit(t.Context())
			}
			if err != nil {
				return err
			}
			numbers[id]++
			count(id, author)
		}
		return nil
	}
	byServer := func(author string, s *Store) error {
		for n := range each {
			var batch []room.Send
			for r := range rooms {
				batch = append(batch, room.Send{Room: room.ID(fmt.Sprint("chat:", r)), Author: author, Tag: room.Tag(uuid.New()), Type: "message", Data: fmt.Append(nil, n)})
			}
			for len(batch) > 0 {
				out, err := s.AppendWithin(t.Context(), batch, 20*time.Millisecond)
				if err != nil {
					return err
				}
				var held []room.Send
				for i, v := range out.Verdicts {
					switch {
					case v.Held:
						held = append(held, batch[i])
					case v.Refused != nil:
						return v.Refused
					default:
						count(batch[i].Room, author)
					}
				}
				batch = held
			}
		}
		return nil
	}
	var writing sync.WaitGroup
	for w := range writers {
		mine, conn := rand.New(rand.NewPCG(rng.Uint64(), 0)), direct(t, dsn)
		for _, write := range []func() error{
			func() error { return bySQL(fmt.Sprint("sql-", w), mine, conn) },
			func() error { return byServer(fmt.Sprint("server-", w), servers[w%2]) },
		} {
			writing.Go(func() {
				if err := write(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	writing.Wait()
	for r := range rooms {
		id := room.ID(fmt.Sprint("chat:", r))
		page, err := servers[0].Read(t.Context(), room.Query{Room: id, Limit: 1000})
		must(t, err)
		seen := make(map[string]int)
		for i, e := range page.Events {
			if e.Seq != room.Seq(i+1) || string(e.Data) != fmt.Sprint(seen[e.Author]) {
				t.Fatalf("%s: event %d is seq %d, %s by %s, of whom there are %d", id, i+1, e.Seq, e.Data, e.Author, seen[e.Author])
			}
			seen[e.Author]++
		}
		if fmt.Sprint(seen) != fmt.Sprint(committed[id]) || page.Head.Seq != room.Seq(len(page.Events)) {
			t.Errorf("%s has %v, committed are %v; the head is %d", id, seen, committed[id], page.Head.Seq)
		}
	}
}

// TestAppendFromSQLRepeatsWhatIsGone: the tag of an event that was pruned, or that a webhook rewrote, is known, and a room
// that was deleted begins anew.
func TestAppendFromSQLRepeatsWhatIsGone(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	conn := direct(t, dsn)
	asSent := message("u1", 1)
	rewritten := asSent
	rewritten.Data, rewritten.Sent = []byte(`"else"`), room.FingerprintOf(asSent.Type, asSent.Data)
	out, err := s.Append(t.Context(), []room.Send{rewritten})
	must(t, err)
	want := out.Rooms[0].Head.Position().String()
	check := func(what string) {
		t.Helper()
		for _, m := range []room.Send{asSent} {
			if a := mustFromSQL(t, conn, m); a.seq != 1 || !a.duplicate || a.position != want || !a.at.Equal(out.Verdicts[0].At) {
				t.Errorf("%s, what was sent is repeated as %+v, want %s", what, a, want)
			}
		}
		other := asSent
		other.Data = []byte(`"a third"`)
		_, err := appendFromSQL(t, conn, other)
		refusedAs(t, what, err, "tag_conflict", "RL010")
	}
	check("of what was rewritten")
	if a := mustFromSQL(t, conn, rewritten); a.seq != 1 || !a.duplicate {
		t.Errorf("what is stored is repeated as %+v", a)
	}
	mustFromSQL(t, conn, message("u1", 2))
	if p, err := s.Prune(t.Context(), "chat:a", room.Retention{Events: 1}, time.Hour, 10); err != nil || p.Events != 1 {
		t.Fatalf("pruned %+v, %v", p, err)
	}
	check("of what was pruned")
	head, _, err := s.Delete(t.Context(), "chat:a")
	must(t, err)
	if a := mustFromSQL(t, conn, asSent); a.seq != 1 || a.duplicate || a.epoch != string(head.Epoch) || !strings.HasSuffix(a.epoch, "-1") {
		t.Errorf("after the room was deleted: %+v, want epoch %s", a, head.Epoch)
	}
}
