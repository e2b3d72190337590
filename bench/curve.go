package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// curve is how a cost grows with something: the same run at each of its points.
type curve struct {
	name   string
	about  string
	points []int
	needs  ability
	opens  func(x int) int // connections at a time
	// grown says that a point begins with what the one before it has left.
	grown bool
	run   func(ctx context.Context, t *trial, x int) ([]measured, error)
}

var curves = []curve{
	{"history", "sends to a room, and joins of it, by the events it has", []int{1e3, 1e4, 1e5, 1e6, 1e7}, tells,
		func(int) int { return 1000 }, true, byHistory},
	{"rooms", "sends to rooms in turn, by how many there are", []int{1, 10, 100, 1e3, 1e4, 1e5}, tells,
		func(int) int { return 1000 }, true, byRooms},
	{"body", "sends, by the bytes of their data", []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 60 << 10}, tells,
		func(int) int { return 1000 }, false, byBody},
	{"connections", "idle connections, by how many there are", []int{1000, 2000, 5000, 10000, 19000, 50000}, 0,
		func(x int) int { return x }, false, byConnections},
	{"rate", "deliveries to the readers of one room, by sends per second", []int{10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}, 0,
		func(int) int { return 2000 }, false, byRate},
}

// curvesOf gives the curves of these names.
func curvesOf(names []string) ([]curve, error) {
	var list []curve
	for _, name := range names {
		i := slices.IndexFunc(curves, func(c curve) bool { return c.name == name })
		if i < 0 {
			var there []string
			for _, c := range curves {
				there = append(there, c.name)
			}
			return nil, fmt.Errorf("no curve is named %q; there are: %s", name, strings.Join(there, ", "))
		}
		list = append(list, curves[i])
	}
	return list, nil
}

// measure follows the curve on every target that is able to, up to o.Most.
func (c curve) measure(ctx context.Context, targets []target, o Options) (rows []Row, err error) {
	points := slices.DeleteFunc(slices.Clone(c.points), func(x int) bool { return x > o.Most })
	for _, target := range targets {
		if target.can()&c.needs != c.needs || len(points) == 0 {
			continue
		}
		if err := enoughFiles(c.opens(points[len(points)-1])); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		for range o.Runs {
			if rows, err = c.follow(ctx, target, o, points, rows); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", c.name, target.name(), err)
			}
		}
	}
	return rows, nil
}

// follow is one run through the points. It adds to the rows, of which each point has its own.
func (c curve) follow(ctx context.Context, target target, o Options, points []int, rows []Row) ([]Row, error) {
	at := func(ctx context.Context, t *trial, x int) error {
		t.progress.is(fmt.Sprintf("%s %d, %s", c.name, x, target.name()))
		started := time.Now()
		got, err := c.run(ctx, t, x)
		if err != nil {
			return fmt.Errorf("at %d: %w", x, err)
		}
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Name == c.name && r.Target == target.name() && r.At == x })
		if i < 0 {
			i = len(rows)
			rows = append(rows, Row{Name: c.name, Target: target.name(), At: x})
		}
		rows[i].add(got)
		fmt.Fprintf(o.Progress, "%s %d, %s: done in %.1f s%s\n", c.name, x, target.name(), time.Since(started).Seconds(), first(got))
		return nil
	}
	whole := [][]int{points}
	if !c.grown {
		whole = slices.Collect(slices.Chunk(points, 1))
	}
	for _, part := range whole {
		_, err := once(ctx, scenario{run: func(ctx context.Context, t *trial) ([]measured, error) {
			for _, x := range part {
				if err := at(ctx, t, x); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}}, target, o, c.name)
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// byBody: sends of x bytes to many rooms.
func byBody(ctx context.Context, t *trial, x int) ([]measured, error) {
	return t.sendsTo(ctx, t.Senders, roomNames("body", t.Rooms), x)
}

// byConnections: x idle connections.
func byConnections(ctx context.Context, t *trial, x int) ([]measured, error) {
	t.Idle = x
	return idle(ctx, t)
}

// byRate: x sends per second to one room that many read.
func byRate(ctx context.Context, t *trial, x int) ([]measured, error) {
	return t.fan(ctx, crowd{rooms: 1, readers: t.Readers, piece: 4096, every: time.Second / time.Duration(x)})
}
