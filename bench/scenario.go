package bench

import "context"

// scenario is one row of the table.
type scenario struct {
	name  string
	about string
	needs ability              // what a target must be able to do
	opens func(o *Options) int // connections at a time
	run   func(ctx context.Context, t *trial) ([]measured, error)
}

// trial is one run of a row, on a server of its own.
type trial struct {
	Options
	target target
	server
	*progress
	beside string // what joins ask for beside the log: JSON members, with a comma before each
	grown  string // what the names of the rooms that are filled begin with
	filled int    // events that they were filled with
}

var scenarios = []scenario{
	{"idle", "idle connections over many rooms", 0,
		func(o *Options) int { return o.Idle }, idle},
	{"fanout-steady", "one room at a steady rate", 0,
		func(o *Options) int { return o.Readers + o.Senders }, fanoutSteady},
	{"fanout", "one room, saturated: one send of each sender in flight", 0,
		func(o *Options) int { return o.Readers + o.Senders }, fanout},
	{"rooms-fanout", "many rooms of ten readers at a steady rate", 0,
		func(o *Options) int { return 10*o.Rooms + o.Senders }, roomsFanout},
	{"sends-one-room", "acked sends, one outstanding each, one room", 0,
		func(o *Options) int { return o.Senders }, sendsOneRoom},
	{"sends-many-rooms", "the same, many rooms", 0,
		func(o *Options) int { return o.Senders }, sendsManyRooms},
	{"sends-one-room-1024", "acked sends of many senders, one room", 0,
		func(o *Options) int { return o.ManySenders }, sendsOneRoomMany},
	{"sends-many-rooms-1024", "the same, many rooms", 0,
		func(o *Options) int { return o.ManySenders }, sendsManyRoomsMany},
	{"sends-repeats", "one room, one send in five repeats an earlier one, against none", tells,
		func(o *Options) int { return o.Senders }, sendsRepeats},
	{"sends-three-nodes", "three processes on one database with 20 shared rooms, against one of them (PostgreSQL)", onPostgres,
		func(o *Options) int { return 4 * o.Senders }, sendsThreeNodes},
	{"rejoin", "clients that come back at once to what they missed, ten to a room", resumes,
		func(o *Options) int { return o.Rejoin + dialing*4 }, rejoin},
	{"rejoin-one-room", "the same, all in one room", resumes,
		func(o *Options) int { return o.Rejoin + dialing*4 }, rejoinOneRoom},
	{"rejoin-cold", "clients that come back, each to a room of its own, after the server was started anew", restarts,
		func(o *Options) int { return o.Cold + dialing*4 }, rejoinCold},
	{"sse", "one room, saturated, read by Server-Sent Events", streams,
		func(o *Options) int { return o.Streams + o.Senders }, sse},
	{"feed", "one producer that posts batches of ten points, read by Server-Sent Events", streams | tells,
		func(o *Options) int { return o.Streams + 2 }, feed},
	{"snapshot", "one room under a snapshot that another session holds, against one without (PostgreSQL)", onPostgres,
		func(o *Options) int { return o.Senders }, snapshot},
	{"cluster-latency", "a steady rate to 100 rooms of one node, read on another (PostgreSQL, --nodes)", clusters,
		func(o *Options) int { return latencyRooms + o.Senders }, clusterLatency},
	{"cluster-fanout", "rooms-fanout over many nodes, against one of them (PostgreSQL, --nodes)", clusters,
		func(o *Options) int { return 10*o.Rooms + o.Senders }, clusterFanout},
	{"cluster-sends", "acked sends to 1, 20, 200 and 1,000 rooms that all nodes share, against one node (PostgreSQL, --nodes)", clusters,
		func(o *Options) int { return o.Nodes * o.Senders }, clusterSends},
	{"cluster-sweep", "many rooms that have a reader and no writer, on a node among others (PostgreSQL, --nodes)", clusters,
		func(o *Options) int { return sweepClients(o.Served) }, clusterSweep},
	{"cluster-sweep-receipts", "the same, and each reader is shown the room's receipts", clusters,
		func(o *Options) int { return sweepClients(o.Served) }, clusterSweepReceipts},
	{"receipts", "marks of many users in 100 rooms, one outstanding each", tells,
		func(o *Options) int { return o.ManySenders }, marks},
	{"overview", "a user's many rooms, asked for all at once", tells,
		func(*Options) int { return overviewTurns }, overview},
	{"presence", "members of one room, of whom a tenth come back anew", tells,
		func(o *Options) int { return o.Readers }, presence},
	{"join-storm", "members of one room who join it at once", tells,
		func(o *Options) int { return o.Storm }, joinStorm},
	{"cursors", "30 people who move cursors in one room, 20 times a second each", tells,
		func(*Options) int { return cursorPeople }, cursors},
	{"stalled", "readers that stop in a room of 1 MB/s, and others that read on", tells,
		func(o *Options) int { return o.Stalled + 2*liveReaders + pacedSenders }, stalled},
}
