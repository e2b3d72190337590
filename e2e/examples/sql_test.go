package examples

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"roomlog/server/store/postgres/pgtest"
)

// The examples that append in a transaction of their own have the row and the event, or neither; and each once, however
// often they are run.
func TestOrdersAndTheirEventsAreOne(t *testing.T) {
	postgres, err := pgtest.Start(t.Context(), pgtest.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, postgres.Close()) })
	s := start(t, "--store", postgres.DSN(""))
	admin, err := pgx.Connect(t.Context(), postgres.DSN(""))
	must(t, err)
	defer admin.Close(context.Background())
	tables, err := os.ReadFile(root + "/examples/sql/tables.sql")
	must(t, err)
	_, err = admin.Exec(t.Context(), `create role shop login in role roomlog_append; create schema authorization shop;
		set role shop; set search_path = shop; `+string(tables))
	must(t, err)
	dsn, err := url.Parse(postgres.DSN(""))
	must(t, err)
	dsn.User = url.User("shop")

	orders := map[string]func(room, id, item string) *exec.Cmd{
		"psql": func(room, id, item string) *exec.Cmd {
			return exec.Command(program(t, "ROOMLOG_PSQL", "psql"), "-X", dsn.String(), "-v", "room="+room, "-v", "id="+id, "-v", "item="+item, "-f", root+"/examples/sql/order.sql")
		},
		"node": func(room, id, item string) *exec.Cmd {
			return exec.Command("node", root+"/examples/node/order.mjs", room, id, item)
		},
		"python": func(room, id, item string) *exec.Cmd {
			return exec.Command(python(t), root+"/examples/python/order.py", room, id, item)
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			room := "shop:" + name
			run := func(id, item string) (string, error) {
				cmd := order(room, id, item)
				cmd.Env = append(os.Environ(), "DATABASE_URL="+dsn.String(), "ROOMLOG_URL="+s.url, "ROOMLOG_TOKEN="+s.bearer)
				out, err := cmd.Output()
				return strings.ReplaceAll(strings.TrimSpace(string(out)), "|", " "), err
			}
			first, second, unknown := uuid.NewString(), uuid.NewString(), uuid.NewString()
			for i, step := range []struct{ id, item, prints string }{
				{first, "lamp", "1 new"}, {first, "lamp", "1 again"}, {unknown, "unicorn", ""}, {second, "chair", "2 new"},
			} {
				printed, err := run(step.id, step.item)
				switch {
				case step.prints == "" && err == nil:
					t.Errorf("step %d: an order of what there is not was taken: %s", i, printed)
				case step.prints != "" && (err != nil || printed != step.prints):
					t.Fatalf("step %d: printed %q, not %q; %v", i, printed, step.prints, err)
				}
			}
			var rows int
			must(t, admin.QueryRow(t.Context(), "select count(*) from shop.orders where id = any ($1)", []string{first, second, unknown}).Scan(&rows))
			if rows != 2 {
				t.Errorf("there are %d orders, want 2", rows)
			}
			var page struct {
				Head   int64
				Events []struct {
					Type, Author, Tag string
					Data              struct{ Order, Item string }
				}
			}
			eventually(t, func() (bool, string) { // within a second
				s.call(http.MethodGet, "/v1/rooms/"+room+"/events", nil, http.StatusOK, &page)
				return page.Head == 2, fmt.Sprintf("the head is %d", page.Head)
			})
			for i, want := range []string{first, second} {
				if e := page.Events[i]; e.Type != "order" || e.Author != "service:shop" || e.Tag != want || e.Data.Order != want || e.Data.Item != []string{"lamp", "chair"}[i] {
					t.Errorf("event %d is %+v", i+1, e)
				}
			}
		})
	}
}
