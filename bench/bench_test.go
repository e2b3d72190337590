package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := (Figure{Values: c.values}).Median(); got != c.want {
			t.Errorf("the median of %v is %v, not %v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 50, 0}, {hundred[:1], 50, 1}, {hundred[:1], 99, 1}, {hundred[:2], 50, 1}, {hundred[:3], 50, 2},
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1}, {hundred[:10], 99, 10},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("p%g of %d values is %d, not %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var rows []Row
	row := Row{Name: "sends", Target: "sqlite"}
	row.add([]measured{{"acked", "", 12345.6}, {"p50", "ms", 1.234}})
	row.add([]measured{{"acked", "", 100}, {"p50", "ms", 99.999}})
	row.add([]measured{{"acked", "", 99.994}, {"p50", "ms", 2}})
	var out strings.Builder
	if err := table(&out, append(rows, row)); err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Fields(line))
	}
	want := [][]string{
		{"row", "figure", "target", "median", "lowest", "highest", "unit", "ratio"},
		{"sends", "acked", "sqlite", "100", "99.99", "12346"},
		{"sends", "p50", "sqlite", "2.00", "1.23", "100.00", "ms"},
	}
	got, _ := json.Marshal(lines)
	wanted, _ := json.Marshal(want)
	if !bytes.Equal(got, wanted) {
		t.Errorf("the table is %s, not %s", got, wanted)
	}
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"runs must":     func(o *Options) { o.Runs = -1 },
		"idle must":     func(o *Options) { o.Idle = -1 },
		"readers must":  func(o *Options) { o.Readers = 1 << 30 },
		"stalled must":  func(o *Options) { o.Stalled = -1 },
		"senders must":  func(o *Options) { o.Senders = -5 },
		"duration must": func(o *Options) { o.Duration = -time.Second },
		"streams must":  func(o *Options) { o.Streams = -1 },
		"no peer is":    func(o *Options) { o.Peers = []string{"nobody"} },
		"no row is":     func(o *Options) { o.Only = []string{"fanuot"} },
	} {
		o := Options{Binary: "/does/not/exist"}
		change(&o)
		if err := Run(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if name := storeName("postgres://u:hunter2@db/x"); name != "postgres" {
		t.Errorf("a store is shown as %q", name)
	}
}

func TestProcFiles(t *testing.T) {
	// Fields 4 and 14 to 17 of proc(5), behind a name made to mislead.
	got, err := parseStat("42 (a) R 7 b) S 1 2 3 4 5 6 7 8 9 10 150 25 13 14 15")
	if want := (stat{parent: 1, cpu: 1750 * time.Millisecond, ofEnded: 270 * time.Millisecond}); err != nil || got != want {
		t.Errorf("the process is read as %+v: %v", got, err)
	}
	if _, err := parseStat("42 (a) S 1 2"); err == nil {
		t.Error("a short stat passes")
	}
	rss, err := parseRSS("Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t1\n")
	if err != nil || rss != 2<<20 {
		t.Errorf("the resident memory is %d: %v", rss, err)
	}
	if _, err := parseRSS("Name:\tx\n"); err == nil {
		t.Error("a status without VmRSS passes")
	}
}

func TestDense(t *testing.T) {
	acks := func(seqs ...int64) (list []ack) {
		for i, seq := range seqs {
			list = append(list, ack{sender: i, room: "bench:a", seq: seq}, ack{room: "bench:b", seq: int64(i) + 1})
		}
		return list
	}
	if err := dense(acks(3, 1, 2)); err != nil {
		t.Error(err)
	}
	for name, list := range map[string][]ack{"hole": acks(1, 2, 4), "repeat": acks(1, 2, 2), "start": acks(2, 3)} {
		if err := dense(list); err == nil || !strings.Contains(err.Error(), "bench:a") {
			t.Errorf("a %s in the acks: %v", name, err)
		}
	}
}

// TestRun measures a real server, briefly: every row that needs no PostgreSQL, but the idle one, which takes two
// rounds of pings.
func TestRun(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "roomlog")
	if out, err := exec.Command("go", "build", "-o", binary, "roomlog/cmd/roomlog").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	o := Options{
		Binary: binary, Runs: 1, Duration: 200 * time.Millisecond, Readers: 20, Streams: 20, Senders: 4, ManySenders: 8,
		Rooms: 3, RoomsRate: 100, Rejoin: 30, Cold: 5, Missed: 120, Stalled: 100, Storm: 40, JSON: true,
	}
	for _, s := range scenarios {
		if s.name != "idle" && s.needs&(onPostgres|clusters) == 0 {
			o.Only = append(o.Only, s.name)
		}
	}
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got.Rows) != len(o.Only) || len(got.Rows) < 12 {
		t.Fatalf("%d rows: %v", len(got.Rows), err)
	}
	for _, r := range got.Rows {
		if r.Target != "roomlog on sqlite" || len(r.Figures) == 0 {
			t.Errorf("%s of %s has %d figures", r.Name, r.Target, len(r.Figures))
		}
		for _, f := range r.Figures {
			if len(f.Values) != 1 || !(f.Median() > 0) && !strings.Contains(f.Name, "CPU") && f.Name != "store reads" && !strings.HasSuffix(f.Name, "that were cut") {
				t.Errorf("%s: %s is %v", r.Name, f.Name, f.Values)
			}
		}
	}
	if m := got.Machine; m.Cores < 1 || m.Go == "" || got.Settings["streams"] != 20.0 || got.Settings["duration"] != "200ms" {
		t.Errorf("the machine is %+v, the settings %v", m, got.Settings)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, o, &out); err == nil {
		t.Error("a run whose context had ended gives figures")
	}
}
