package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

func sendsOneRoom(ctx context.Context, t *trial) ([]measured, error) {
	return t.sends(ctx, t.Senders, 1)
}

func sendsManyRooms(ctx context.Context, t *trial) ([]measured, error) {
	return t.sends(ctx, t.Senders, t.Rooms)
}

func sendsOneRoomMany(ctx context.Context, t *trial) ([]measured, error) {
	return t.sends(ctx, t.ManySenders, 1)
}

func sendsManyRoomsMany(ctx context.Context, t *trial) ([]measured, error) {
	return t.sends(ctx, t.ManySenders, t.Rooms)
}

// sends: every sender sends to its rooms in turn, one outstanding. The clock and the CPU count from when
// all are connected to when the last ack has come.
func (t *trial) sends(ctx context.Context, n, rooms int) ([]measured, error) {
	var p part
	var databaseCPU time.Duration
	measuresDatabase := false
	cpu, err := t.costing(ctx, n, func(senders []*sender) (err error) {
		database, err := t.databaseCPU(ctx)
		if err != nil {
			return err
		}
		if p, err = t.sendPart(ctx, senders, rooms, load{d: t.Duration}); err != nil || database == nil {
			return err
		}
		measuresDatabase = true
		databaseCPU, err = database()
		return err
	})
	if err != nil {
		return nil, err
	}
	out := append([]measured{{"acked sends per second", "", p.rate()}}, p.latencies("")...)
	out = append(out, measured{"server CPU per send", "µs", p.each(cpu)})
	if measuresDatabase {
		out = append(out, measured{"database CPU per send", "µs", p.each(databaseCPU)})
	}
	return out, t.stored(ctx, p.acks)
}

// costing has n senders do something to a server that has settled, and gives the CPU that it took the server.
func (t *trial) costing(ctx context.Context, n int, do func(senders []*sender) error) (time.Duration, error) {
	// What it still does about what it was filled with, first: senders answer no pings until they send.
	if err := t.settled(ctx); err != nil {
		return 0, err
	}
	senders, err := t.enterSenders(ctx, n)
	if err != nil {
		return 0, err
	}
	defer closeSenders(senders)
	if err := t.settled(ctx); err != nil {
		return 0, err
	}
	before, err := t.usage()
	if err != nil {
		return 0, err
	}
	if err := do(senders); err != nil {
		return 0, err
	}
	after, err := t.usage()
	return after.CPU - before.CPU, err
}

// part is a load that ended well, and what it gave.
type part struct {
	acks []ack
	took time.Duration
}

// sendPart puts a load on new rooms, and checks the acks.
func (t *trial) sendPart(ctx context.Context, senders []*sender, rooms int, l load) (part, error) {
	t.lasting("sending", l.d)
	names := roomNames("sends", rooms)
	l.room = func(i, turn int) string { return names[(i*15+turn)%rooms] }
	started := time.Now()
	acks, err := sendAll(ctx, senders, l)
	p := part{acks: acks, took: time.Since(started)}
	return p, errors.Join(err, dense(acks))
}

func (p part) rate() float64 { return float64(len(p.acks)) / p.took.Seconds() }

// each is what a send took of so much, in microseconds.
func (p part) each(of time.Duration) float64 { return of.Seconds() / float64(len(p.acks)) * 1e6 }

func (p part) latencies(of string) []measured {
	took := make([]time.Duration, 0, len(p.acks))
	for _, a := range p.acks {
		took = append(took, a.took)
	}
	slices.Sort(took)
	return []measured{
		{"p50" + of, "ms", percentile(took, 50).Seconds() * 1000},
		{"p99" + of, "ms", percentile(took, 99).Seconds() * 1000},
	}
}

// alternations is how often two loads that are compared take turns, so that both meet the same disturbances.
const alternations = 2

// sendsRepeats: one in five sends is an earlier one again, in turn with none.
func sendsRepeats(ctx context.Context, t *trial) ([]measured, error) {
	senders, err := t.enterSenders(ctx, t.Senders)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	return t.alternate(ctx, "without repeats", "with repeats", func(turn int) (part, error) {
		return t.sendPart(ctx, senders, 1, load{d: t.Duration / alternations, repeat: 5 * turn})
	})
}

// sharedRooms is how many rooms three nodes append to.
const sharedRooms = 20

// sendsThreeNodes: three servers on one database, each with as many senders as the one they are compared with, and the
// same rooms, in turn.
func sendsThreeNodes(ctx context.Context, t *trial) (out []measured, err error) {
	nodes := []server{t.server}
	defer func() {
		for _, node := range nodes[1:] {
			err = errors.Join(err, node.stop())
		}
	}()
	for range 2 {
		node, err := t.target.start(ctx)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	one, err := t.enterSenders(ctx, t.Senders)
	if err != nil {
		return nil, err
	}
	defer closeSenders(one)
	three, err := t.enterSendersOn(ctx, len(nodes)*t.Senders, func(i int) server { return nodes[i%len(nodes)] })
	if err != nil {
		return nil, err
	}
	defer closeSenders(three)
	return t.alternate(ctx, "one process", "three processes", func(turn int) (part, error) {
		return t.sendPart(ctx, [][]*sender{one, three}[turn], sharedRooms, load{d: t.Duration / alternations})
	})
}

// alternate runs two loads in turn, 0 and 1, and compares them.
func (t *trial) alternate(ctx context.Context, first, second string, run func(turn int) (part, error)) ([]measured, error) {
	var sum [2]part
	for range alternations {
		for turn := range sum {
			p, err := run(turn)
			if err == nil {
				err = t.stored(ctx, p.acks)
			}
			if err != nil {
				return nil, err
			}
			sum[turn].acks = append(sum[turn].acks, p.acks...)
			sum[turn].took += p.took
		}
	}
	out := []measured{
		{"acked sends per second, " + first, "", sum[0].rate()},
		{"acked sends per second, " + second, "", sum[1].rate()},
		{second + " by " + first, "%", 100 * sum[1].rate() / sum[0].rate()},
	}
	return slices.Concat(out, sum[0].latencies(", "+first), sum[1].latencies(", "+second)), nil
}

// percentile is the smallest value that p per cent of the sorted values do not exceed (nearest rank).
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// dense checks that the acks of each room are 1, 2, 3 … without hole or repeat: the rooms were new. A target that
// does not number its events says 0 each time.
func dense(acks []ack) error {
	for room, seqs := range byRoom(acks) {
		slices.Sort(seqs)
		if seqs[len(seqs)-1] == 0 {
			continue
		}
		for i, seq := range seqs {
			if seq != int64(i)+1 {
				return fmt.Errorf("%s: an ack has seq %d where %d is due: lost or doubled", room, seq, i+1)
			}
		}
	}
	return nil
}

// stored checks that each room's log ends with its last ack: a send stored twice would make it longer. A target
// whose log cannot be asked is not checked by this.
func (t *trial) stored(ctx context.Context, acks []ack) error {
	log, ok := t.server.(interface {
		heads(ctx context.Context, rooms []string) ([]int64, error)
	})
	if !ok {
		return nil
	}
	seqs := byRoom(acks)
	rooms := slices.Sorted(maps.Keys(seqs))
	heads, err := log.heads(ctx, rooms)
	if err != nil {
		return err
	}
	for i, room := range rooms {
		if heads[i] != int64(len(seqs[room])) {
			return fmt.Errorf("%s: the log has %d events, %d were acked", room, heads[i], len(seqs[room]))
		}
	}
	return nil
}

// byRoom gives the seqs of each room, those of repeats left out.
func byRoom(acks []ack) map[string][]int64 {
	rooms := make(map[string][]int64)
	for _, a := range acks {
		if !a.again {
			rooms[a.room] = append(rooms[a.room], a.seq)
		}
	}
	return rooms
}
