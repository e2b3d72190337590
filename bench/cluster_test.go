package bench

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/store/postgres/pgtest"
)

// TestCluster measures real nodes on a real PostgreSQL and a real Redis, briefly.
func TestCluster(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "roomlog")
	if out, err := exec.Command("go", "build", "-o", binary, "roomlog/cmd/roomlog").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	o := Options{
		Binary: binary, Stores: []string{pgtest.DB(t)}, Nodes: 2, Runs: 1, Duration: 300 * time.Millisecond,
		Senders: 4, Rooms: 30, RoomsRate: 200, Served: 450, JSON: true,
	}
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%s: %v", out.Bytes(), err)
	}
	figures := map[string][]string{
		"cluster-latency": {"delivery from node to node, p50", "delivery from node to node, p99", "delivery on one node, p50"},
		"cluster-fanout":  {"deliveries per CPU-second by one node's, 2 nodes", "deliveries per CPU-second by one node's, one node with the bus", "deliveries per server CPU-second, 2 nodes", "server memory, one node"},
		"cluster-sends":   {"by one node with as many senders, 1 room", "by one node with 4, 20 rooms", "acked sends per second, 2 nodes, 20 rooms", "p99, one node, 20 rooms"},
		"cluster-sweep":   {"node memory per served room", "heap per served room"},

		"cluster-sweep-receipts": {"node memory per served room", "heap per served room"},
	}
	if len(report.Rows) != len(figures) { // those of many nodes, and no other
		t.Errorf("%d rows of many nodes, not %d", len(report.Rows), len(figures))
	}
	for i := range report.Rows {
		row := &report.Rows[i]
		for _, name := range figures[row.Name] {
			if f := row.figure(name); f == nil || len(f.Values) != 1 || !(f.Median() > 0) {
				t.Errorf("%s: %s is %v", row.Name, name, f)
			}
		}
	}
}

// TestClusterOptions: what many nodes need is said in one sentence.
func TestClusterOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"nodes must":                         {Nodes: 99},
		"give --store postgres://":           {Nodes: 3},
		"install redis-server, or name one ": {Only: []string{"cluster-latency"}},
	} {
		if o.Only != nil {
			t.Setenv(redisEnv, "/does/not/exist")
			if _, err := startBus(t.Context(), ""); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err := Run(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	given, err := startBus(t.Context(), "nats://127.0.0.1:4222")
	if err != nil || given.process != nil || given.url != "nats://127.0.0.1:4222" || len(given.key) < 32 {
		t.Errorf("a bus that is given: %+v, %v", given, err)
	}
}

// TestWants: the rows of many nodes run when they are asked for, by their name or by how many nodes.
func TestWants(t *testing.T) {
	of := func(o Options) (names []string) {
		o.withDefaults()
		for _, s := range scenarios {
			if o.wants(s) {
				names = append(names, s.name)
			}
		}
		return names
	}
	for _, c := range []struct {
		o           Options
		some, never string
	}{
		{Options{}, "rooms-fanout", "cluster-latency"}, {Options{Nodes: 2}, "cluster-sweep", "fanout"},
		{Options{Only: []string{"cluster-sends"}}, "cluster-sends", "cluster-latency"}, {Options{Nodes: 3, Only: []string{"sse"}}, "sse", "cluster-fanout"},
	} {
		names := of(c.o)
		if !slices.Contains(names, c.some) || slices.Contains(names, c.never) {
			t.Errorf("%+v runs %v", c.o, names)
		}
	}
}
