package app

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/retention"
	"roomlog/server/room"
	"roomlog/server/transport"
	"roomlog/server/webhook"
)

// metrics is what /metrics shows, read from the parts when it is asked for. No label has a value that a
// client chose: not a room, not a user.
type metrics struct {
	hub       *hub.Hub
	transport *transport.Server
	store     room.Store
	engine    *webhook.Engine
	calls     func() map[string]webhook.Calls
	keeper    *retention.Keeper
	node      *cluster.Node // nil: the store is this process's alone
	pressure  *pressure
	pauses    *pauses
	besides   besides
	gate      atomic.Pointer[transport.Gate] // nil before Start
}

// metric describes one of ours by the rest of its name.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("roomlog_"+name, help, labels, nil)
}

var (
	metricConnections = metric("connections", "WebSockets and streams that are open.")
	metricRooms       = metric("rooms", "Rooms with something in memory.")
	metricTailBytes   = metric("tail_bytes", "Encoded events in memory.")
	metricQueued      = metric("queued_sends", "Sends that wait for a batch.")
	metricCursors     = metric("cursors", "Places of connections in rooms.")
	metricBehind      = metric("cursors_behind", "Cursors that are not at the head of their room.")
	metricSnapshot    = metric("oldest_snapshot_seconds", "Age of the oldest transaction that holds a snapshot of the database, as far as the store can say.")

	metricSends     = metric("sends_total", "Sends given to the store, repeats and reruns included.")
	metricBatches   = metric("batches_total", "Transactions that stored sends.")
	metricReruns    = metric("batch_reruns_total", "Batches run again since the store did not answer.")
	metricBusy      = metric("sends_held_total", "Sends put back since another transaction held their room.")
	metricOverloads = metric("overloads_total", "Sends refused since too many waited.")
	metricForks     = metric("forks_total", "Rooms whose history was found to be another than before.")
	metricStalls    = metric("stalls_total", "Writes that a peer did not take whole.")
	metricWrites    = metric("writes_total", "Writes to connections.")
	metricWritten   = metric("written_bytes_total", "Bytes written to connections.")
	metricReads     = metric("store_reads_total", "Reads of the store.", "cause")
	metricResets    = metric("resets_total", "Positions that could not be continued.", "reason")
	metricRefused   = metric("refused_total", "What clients were refused for a limit of theirs.", "limit")
	metricSockets   = metric("sockets", "Connections that are open, those of plain requests and those that have said nothing yet among them.")
	metricHeld      = metric("memory_held_bytes", "Memory in use that a collection would not give back, as of the last one.")
	metricLimit     = metric("memory_limit_bytes", "Memory that the server should stay within; 0: any.")
	metricStage     = metric("memory_stage", "0: enough memory; 1: that of rooms is given back; 2: no new connections; 3: slow ones are cut.")
	metricShed      = metric("memory_shed_total", "Slow connections that were cut for want of memory.")
	metricSlots     = metric("slots_waiting", "Places that are kept for clients who came when too many did and were told when to come back.")
	metricPauses    = metric("pauses_total", "Times that this process did not run for longer than it may, and began anew.")
	metricErrors    = metric("errors_total", "Errors that clients were told.", "code")

	metricPruned    = metric("pruned_events_total", "Events that their rooms no longer keep.")
	metricSwept     = metric("swept_rows_total", "Rows that deleted rooms left, and tags past their time.")
	metricDeleted   = metric("deleted_rooms_total", "Rooms deleted by requests.")
	metricRounds    = metric("retention_rounds_total", "Rounds through the rooms that came to their end.")
	metricFailures  = metric("retention_failures_total", "Steps of a round that the store did not carry out; the next round tries again.")
	metricLastRound = metric("retention_last_round_timestamp_seconds", "When the last round came to its end; 0: none has.")
	metricHinted    = metric("hinted_appends_total", "Appends of other nodes that rooms took without a read of the store.")
	metricHints     = metric("cluster_hints_total", "Hints told to other nodes, and heard from them.", "direction")
	metricForeign   = metric("cluster_refused_total", "Messages on the bus that were not of this cluster, or not understood.")
	metricGaps      = metric("cluster_gaps_total", "Times that something another node said was missed, and all rooms were checked.")
	metricChecks    = metric("cluster_checks_total", "Comparisons of all rooms in memory with the store, for what may have been missed.")
	metricPokes     = metric("cluster_pokes_total", "Rooms told of by the store, and pokes read from it.", "direction")
	metricPeers     = metric("cluster_peers", "Other nodes that were heard of lately.")
	metricFollowed  = metric("cluster_rooms", "Rooms whose hints are heard.")
	metricBusDrops  = metric("bus_dropped_total", "Messages that were not sent, or arrived and were dropped, for want of a bus or of room.", "direction")
	metricBusLosses = metric("bus_losses_total", "Times that the bus was lost.")

	metricDegraded = metric("degraded", "1 while the server does without this part, else 0.", "part")
	metricRelaxed  = metric("durability_relaxed", "1 while the store may lose what it has acknowledged, else 0.")

	metricHookCalls  = metric("webhook_calls_total", "Calls of webhooks.", "hook", "result")
	metricHookTime   = metric("webhook_call_seconds", "Time of calls of webhooks, the wait for their turn included.", "hook")
	metricHookBehind = metric("webhook_rooms_behind", "Rooms that a webhook is known to lack events of.", "hook")

	metricBatchSends = metric("batch_sends", "Sends of a batch.")
	metricAppend     = metric("append_seconds", "Time of a transaction that stores a batch.")
	metricAnswer     = metric("answer_seconds", "Time from the arrival of a send to its answer, of those that the store judged.")
	metricDelivery   = metric("delivery_seconds", "Time from the commit of the oldest event that a live cursor lacked to the write that brought it up to the head; in large rooms of one reader in sixteen.")
)

// newMetrics is the handler of GET /metrics, with a registry of its own.
func newMetrics(version string, m *metrics) http.Handler {
	registry := prometheus.NewRegistry()
	info := m.store.Info()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "roomlog_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version, "store": info.Name, "store_version": info.Version, "durability": info.Durability},
	})
	build.Set(1)
	registry.MustRegister(build, m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
}

// Describe implements prometheus.Collector: which series there are is known when they are collected.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	s := m.hub.Stats()
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	all, behind := m.hub.Cursors()
	gauge(metricConnections, float64(s.Connections))
	gauge(metricRooms, float64(s.Rooms))
	gauge(metricTailBytes, float64(s.TailBytes))
	gauge(metricQueued, float64(s.Queued))
	gauge(metricCursors, float64(all))
	gauge(metricBehind, float64(behind))
	gauge(metricSlots, float64(m.transport.SlotsWaiting()))
	if age, ok := m.oldestSnapshot(); ok {
		gauge(metricSnapshot, age.Seconds())
	}
	gauge(metricRelaxed, oneIf(m.store.Info().Durability != room.Full))
	m.collectDegraded(out)
	count(metricSends, s.Sends)
	count(metricBatches, s.Batches)
	count(metricReruns, s.Reruns)
	count(metricBusy, s.Held)
	count(metricOverloads, s.Overloads)
	count(metricForks, s.Forks)
	count(metricHinted, s.Hinted)
	count(metricPauses, m.pauses.count.Load())
	count(metricStalls, s.Stalls)
	count(metricWrites, s.Writes)
	count(metricWritten, s.Written)
	m.collectRetention(gauge, count)
	m.besides.collect(gauge, count)
	for cause, n := range s.StoreReads {
		count(metricReads, n, cause.String())
	}
	for reason, n := range s.Resets {
		count(metricResets, n, string(reason))
	}
	for code, n := range m.transport.Errors() {
		count(metricErrors, n, string(code))
	}
	for hook, c := range m.calls() {
		count(metricHookCalls, c.Made-c.Failed, hook, "ok")
		count(metricHookCalls, c.Failed, hook, "failed")
		out <- prometheus.MustNewConstSummary(metricHookTime, uint64(c.Made), c.Took.Seconds(), nil, hook)
	}
	for _, h := range m.engine.States() {
		out <- prometheus.MustNewConstMetric(metricHookBehind, prometheus.GaugeValue, float64(h.Behind), h.Name)
	}
	if m.node != nil {
		m.collectCluster(gauge, count)
	}
	for limit, n := range m.transport.Refused() {
		count(metricRefused, n, limit.String())
	}
	if gate := m.gate.Load(); gate != nil {
		gauge(metricSockets, float64(gate.Sockets()))
	}
	gauge(metricHeld, float64(m.pressure.held.Load()))
	gauge(metricLimit, float64(m.pressure.limit))
	gauge(metricStage, float64(m.pressure.stage.Load()))
	count(metricShed, m.pressure.shed.Load())
	out <- histogram(metricBatchSends, s.BatchSends)
	out <- histogram(metricAppend, s.Append)
	out <- histogram(metricAnswer, s.Answer)
	out <- histogram(metricDelivery, s.Delivery)
}

// degradable are the parts that a server can do without, each of them a series from the start: one that appears with
// the first trouble is one that no alarm knew.
var degradable = []string{"bus"}

func (m *metrics) collectDegraded(out chan<- prometheus.Metric) {
	degraded := m.transport.Degraded()
	for _, part := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(degradable, degraded)))) {
		out <- prometheus.MustNewConstMetric(metricDegraded, prometheus.GaugeValue, oneIf(slices.Contains(degraded, part)), part)
	}
}

func (m *metrics) collectRetention(gauge func(*prometheus.Desc, float64), count func(*prometheus.Desc, int64, ...string)) {
	kept := m.keeper.Stats()
	count(metricPruned, kept.Pruned)
	count(metricSwept, kept.Swept)
	count(metricDeleted, m.transport.Deleted())
	count(metricRounds, kept.Rounds)
	count(metricFailures, kept.Failures)
	last := 0.0
	if !kept.Last.IsZero() {
		last = float64(kept.Last.UnixMilli()) / 1000
	}
	gauge(metricLastRound, last)
}

func (m *metrics) collectCluster(gauge func(*prometheus.Desc, float64), count func(*prometheus.Desc, int64, ...string)) {
	s := m.node.Stats()
	count(metricHints, s.Told, "out")
	count(metricHints, s.Heard, "in")
	count(metricForeign, s.Refused)
	count(metricGaps, s.Gaps)
	count(metricChecks, s.Checks)
	count(metricPokes, s.Pokes, "out")
	count(metricPokes, s.Poked, "in")
	gauge(metricPeers, float64(s.Peers))
	gauge(metricFollowed, float64(s.Followed))
	count(metricBusDrops, int64(s.Bus.Dropped), "out")
	count(metricBusDrops, int64(s.Bus.Missed), "in")
	count(metricBusLosses, int64(s.Bus.Lost))
}

// snapshotWithin bounds the question for the oldest snapshot: a scrape does not wait for a database.
const snapshotWithin = 2 * time.Second

func (m *metrics) oldestSnapshot() (age time.Duration, known bool) {
	store, can := m.store.(room.SnapshotAger)
	if !can {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), snapshotWithin)
	defer cancel()
	age, err := store.OldestSnapshot(ctx)
	return age, err == nil
}

func histogram(d *prometheus.Desc, h hub.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var total uint64
	for i, n := range h.Counts {
		total += uint64(n)
		if i < len(h.Bounds) {
			buckets[h.Bounds[i]] = total
		}
	}
	return prometheus.MustNewConstHistogram(d, total, h.Sum, buckets)
}
