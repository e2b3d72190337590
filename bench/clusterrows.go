package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// clusterLatency: t.RoomsRate sends per second to rooms of the first node, which are read on the last one. Before that, all
// on one node.
func clusterLatency(ctx context.Context, t *trial) ([]measured, error) {
	return t.with(ctx, t.Nodes, func(c *cluster) ([]measured, error) {
		w := crowd{rooms: latencyRooms, readers: latencyRooms, piece: 4 * smallPiece, every: time.Second / time.Duration(t.RoomsRate), sample: 1}
		one, err := t.deliver(ctx, w)
		if err != nil {
			return nil, err
		}
		many, err := t.deliver(ctx, w.spread(t, c, func(int) server { return c.nodes[0] }, func(int) server { return c.nodes[len(c.nodes)-1] }))
		if err != nil {
			return nil, err
		}
		return []measured{
			{"delivery from node to node, p50", "ms", ms(percentile(many.latency, 50))},
			{"delivery from node to node, p99", "ms", ms(percentile(many.latency, 99))},
			{"delivery on one node, p50", "ms", ms(percentile(one.latency, 50))},
			{"delivery on one node, p99", "ms", ms(percentile(one.latency, 99))},
			{"sends per second", "", float64(many.sent) / many.took},
		}, nil
	})
}

// latencyRooms is how many rooms are sent to and read on another node.
const latencyRooms = 100

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// spread is a crowd whose senders and readers are on some nodes of a cluster.
func (w crowd) spread(t *trial, c *cluster, sends, reads func(i int) server) crowd {
	w.sendsOn, w.usage = sends, c.usage
	w.enter = func(ctx context.Context, n int, room func(int) string) ([]*client, error) {
		return t.enterOn(ctx, n, reads, sameUser, room)
	}
	return w
}

// clusterFanout: the load of rooms-fanout on one node without a bus, then on one with it, then spread over all, so that each
// room has readers on each. Some of what the last costs more is not the bus: each node commits, wakes and writes for itself.
func clusterFanout(ctx context.Context, t *trial) ([]measured, error) {
	return t.with(ctx, t.Nodes, func(c *cluster) (out []measured, err error) {
		w := crowd{rooms: t.Rooms, readers: 10 * t.Rooms, piece: 4 * smallPiece, every: time.Second / time.Duration(t.RoomsRate)}
		type side struct {
			of string
			w  crowd
			c  *cluster
		}
		var got [3]fanned
		first := func(int) server { return c.nodes[0] }
		for i, s := range []side{
			{", one node", w, nil},
			{", one node with the bus", w.spread(t, c, first, first), c},
			{", " + t.nodes(), w.spread(t, c, c.node, func(i int) server { return c.node(i / t.Rooms) }), c},
		} {
			spent, err := t.meter(ctx, s.c)
			if err != nil {
				return nil, err
			}
			if got[i], err = t.deliver(ctx, s.w); err != nil {
				return nil, err
			}
			k, err := spent()
			if err != nil {
				return nil, err
			}
			out = append(out,
				measured{"deliveries per server CPU-second" + s.of, "", got[i].perCPU()},
				measured{"server CPU" + s.of, "s", got[i].cpu.Seconds()},
				measured{"database CPU, connecting included" + s.of, "s", k.database.Seconds()},
				measured{"delivery, p50" + s.of, "ms", ms(percentile(got[i].latency, 50))},
				measured{"delivery, p99" + s.of, "ms", ms(percentile(got[i].latency, 99))},
				measured{"server memory" + s.of, "MiB", float64(got[i].rss) / (1 << 20)})
			if s.c != nil && c.bus.process != nil {
				out = append(out, measured{"bus CPU, connecting included" + s.of, "s", k.bus.Seconds()})
			}
		}
		return append([]measured{
			{"deliveries per CPU-second by one node's, " + t.nodes(), "%", 100 * got[2].perCPU() / got[0].perCPU()},
			{"deliveries per CPU-second by one node's, one node with the bus", "%", 100 * got[1].perCPU() / got[0].perCPU()},
		}, out...), nil
	})
}

// nodes says how many there are.
func (t *trial) nodes() string { return fmt.Sprintf("%d nodes", t.Nodes) }

// clusterRooms are how many rooms all nodes append to, up to t.Rooms.
var clusterRooms = []int{1, 20, 200, 1000}

// clusterSends: t.Senders senders on each node and rooms that all share; in turn with one node that has as many in all, and
// with one that has t.Senders.
func clusterSends(ctx context.Context, t *trial) ([]measured, error) {
	return t.with(ctx, t.Nodes, func(c *cluster) (out []measured, err error) {
		for _, rooms := range clusterRooms {
			if rooms > t.Rooms {
				break
			}
			of, err := t.sharing(ctx, c, rooms)
			if err != nil {
				return nil, err
			}
			out = append(out, of...)
		}
		return out, nil
	})
}

// sharingPart has n senders send to so many rooms, on all nodes or (nil) on the trial's server. They connect for that: while
// others send, nobody would answer their pings.
func (t *trial) sharingPart(ctx context.Context, c *cluster, n, rooms int) (p part, k costs, err error) {
	on := func(int) server { return t.server }
	if c != nil {
		on = c.node
	}
	senders, err := t.enterSendersOn(ctx, n, on)
	if err != nil {
		return p, k, err
	}
	defer closeSenders(senders)
	spent, err := t.meter(ctx, c)
	if err != nil {
		return p, k, err
	}
	if p, err = t.sendPart(ctx, senders, rooms, load{d: t.Duration / alternations}); err != nil {
		return p, k, err
	}
	k, err = spent()
	return p, k, errors.Join(err, t.stored(ctx, p.acks))
}

// sharing has senders on all nodes, as many on one, and those of one alone send to so many rooms, in turn.
func (t *trial) sharing(ctx context.Context, c *cluster, rooms int) ([]measured, error) {
	var sum [3]part
	var cost [3]costs
	for range alternations {
		for i, n := range []int{t.Nodes * t.Senders, t.Nodes * t.Senders, t.Senders} {
			of := c
			if i > 0 {
				of = nil
			}
			p, k, err := t.sharingPart(ctx, of, n, rooms)
			if err != nil {
				return nil, err
			}
			sum[i].acks, sum[i].took = append(sum[i].acks, p.acks...), sum[i].took+p.took
			cost[i].servers, cost[i].database, cost[i].bus = cost[i].servers+k.servers, cost[i].database+k.database, cost[i].bus+k.bus
		}
	}
	to := fmt.Sprintf(", %d rooms", rooms)
	if rooms == 1 {
		to = ", 1 room"
	}
	out := []measured{
		{"by one node with as many senders" + to, "%", 100 * sum[0].rate() / sum[1].rate()},
		{fmt.Sprintf("by one node with %d%s", t.Senders, to), "%", 100 * sum[0].rate() / sum[2].rate()},
	}
	for i, of := range []string{t.nodes(), "one node", fmt.Sprintf("one node, %d senders", t.Senders)} {
		of = ", " + of + to
		out = append(out, measured{"acked sends per second" + of, "", sum[i].rate()})
		out = append(out, sum[i].latencies(of)...)
		out = append(out, measured{"server CPU per send" + of, "µs", sum[i].each(cost[i].servers)}, measured{"database CPU per send" + of, "µs", sum[i].each(cost[i].database)})
		if i == 0 && c.bus.process != nil {
			out = append(out, measured{"bus CPU per send" + to, "µs", sum[i].each(cost[i].bus)})
		}
	}
	return out, nil
}
