package bench

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"roomlog/server/store/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestPostgres measures a real server on a real PostgreSQL, briefly.
func TestPostgres(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "roomlog")
	if out, err := exec.Command("go", "build", "-o", binary, "roomlog/cmd/roomlog").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	o := Options{
		Binary: binary, Stores: []string{pgtest.DB(t)}, Only: []string{"snapshot", "sends-one-room", "sends-three-nodes"}, Runs: 1, Duration: 600 * time.Millisecond, Senders: 4, JSON: true,
	}
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var report Report
	err := json.Unmarshal(out.Bytes(), &report)
	if err != nil || len(report.Rows) != 3 || report.Machine.Postgres == "" {
		t.Fatalf("%s: %v", out.Bytes(), err)
	}
	for row, figures := range map[string][]string{
		"snapshot":          {"acked sends per second, without", "acked sends per second, under the snapshot", "under the snapshot"},
		"sends-one-room":    {"acked sends per second", "p99"},
		"sends-three-nodes": {"acked sends per second, one process", "acked sends per second, three processes"},
	} {
		i := slices.IndexFunc(report.Rows, func(r Row) bool { return r.Name == row })
		for _, name := range figures {
			if f := report.Rows[i].figure(name); f == nil || !(f.Median() > 0) {
				t.Errorf("%s: %s is %v", row, name, f)
			}
		}
		if row == "sends-one-room" && report.Rows[i].figure("database CPU per send") == nil {
			t.Error("the CPU of a database on this machine is left out")
		}
	}
}
