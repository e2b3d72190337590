package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/history"
)

// watch asks the database again and again how many events each room has: at no instant may there be a hole (I3).
func (c *cluster) watch(ctx context.Context) {
	for ctx.Err() == nil {
		_ = c.query(ctx, countPostgres, func(row pgx.CollectableRow) error { // it may be down, or be starting
			l := history.Line{Op: history.OpSQL, Client: "judge"}
			err := row.Scan(&l.Room, &l.Floor, &l.Count, &l.Min, &l.Max)
			if err == nil {
				c.rec.Add(l)
			}
			return err
		})
		wait(ctx, 250*time.Millisecond)
	}
}

// query asks the database itself.
func (c *cluster) query(ctx context.Context, sql string, each func(pgx.CollectableRow) error) error {
	conn, err := pgx.Connect(ctx, c.db.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *cluster) heads(ctx context.Context) (map[string]int64, error) {
	heads := make(map[string]int64)
	err := c.query(ctx, "select name, head from roomlog.rooms", func(row pgx.CollectableRow) error {
		var name string
		var head int64
		err := row.Scan(&name, &head)
		heads[name] = head
		return err
	})
	return heads, err
}

// awaitHeads waits until every reader has all that the database has.
func (c *cluster) awaitHeads(ctx context.Context) {
	heads, err := c.heads(ctx)
	if err != nil {
		c.problem("the heads: %v", err)
		return
	}
	over := time.After(2 * tailBound)
	for {
		late, moved := c.rec.behind(c.followers, heads)
		if len(late) == 0 {
			return
		}
		select {
		case <-moved:
		case <-over:
			for _, f := range late[:min(len(late), 10)] {
				c.problem("I9: %s over %s stands at %d of %d in %s (%d are behind)", f.name, f.transport, c.rec.at(f), heads[f.room], f.room, len(late))
			}
			return
		}
	}
}

const finalPostgres = `select r.name, m.epoch || case when r.generation > 0 then '-' || r.generation else '' end, e.seq, e.author, e.tag::text, e.data
	from roomlog.events e join roomlog.rooms r on r.id = e.room cross join roomlog.meta m
	where r.name not like '` + besidePrefix + `%' and r.name not like '%:shared-%' and r.name <> '` + openRoom + `' order by r.name, e.seq`

// readFinal records every room from its start: as each node has it, and as the database has it. A node that cannot give it
// is judged, as is what it gave.
func (c *cluster) readFinal(ctx context.Context) error {
	err := c.query(ctx, finalPostgres, func(row pgx.CollectableRow) error {
		l := history.Line{Op: history.OpFinal, Client: "judge", Via: history.ViaSQL}
		var data string
		err := row.Scan(&l.Room, &l.Epoch, &l.Seq, &l.Author, &l.Tag, &data)
		l.PayloadHash = history.Hash([]byte(data))
		c.rec.Add(l)
		return err
	})
	if err != nil {
		return fmt.Errorf("the final log by SQL: %w", err)
	}
	token, err := sign(c.key, "judge", everything, time.Hour)
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		for _, room := range c.rooms {
			if err := c.readRoom(ctx, n, token, room); err != nil {
				c.problem("the final log of %s by node %s: %v", room, n.name, err)
			}
		}
	}
	return nil
}

func (c *cluster) readRoom(ctx context.Context, n *node, token, room string) error {
	l := history.Line{Op: history.OpFinal, Client: "judge-" + n.name, Node: n.name, Room: room, Via: history.ViaHistory}
	for after := "0"; ; {
		p, err := readPage(ctx, n, token, room, after)
		if err != nil {
			return err
		}
		l.Epoch = p.Epoch
		if len(p.Events) == 0 {
			if after == "0" {
				c.rec.Add(l) // it is empty
			}
			return nil
		}
		for _, e := range p.Events {
			l.Seq, l.Author, l.Tag, l.PayloadHash = e.Seq, e.Author, e.Tag, history.Hash(e.Data)
			c.rec.Add(l)
		}
		after = p.Position
	}
}

// readPage asks a node for what follows a position; one that is asked too much is asked again.
func readPage(ctx context.Context, n *node, token, room, after string) (p page, err error) {
	for over := time.Now().Add(settle); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%s&limit=500", n.addr, room, after), nil)
		if err != nil {
			return p, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return p, err
		}
		err = json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusTooManyRequests && time.Now().Before(over):
			wait(ctx, 50*time.Millisecond)
		case resp.StatusCode != http.StatusOK:
			return p, fmt.Errorf("status %d", resp.StatusCode)
		default:
			return p, err
		}
	}
}
