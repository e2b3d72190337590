package bench

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"roomlog/server/store/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestSnapshot measures a real server on a real PostgreSQL, briefly.
func TestSnapshot(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "roomlog")
	if out, err := exec.Command("go", "build", "-o", binary, "roomlog/cmd/roomlog").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	o := Options{
		Binary: binary, Stores: []string{pgtest.DB(t)}, Only: []string{"snapshot"}, Runs: 1, Duration: 600 * time.Millisecond, Senders: 4, JSON: true,
	}
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var report Report
	err := json.Unmarshal(out.Bytes(), &report)
	rows := report.Rows
	if err != nil || len(rows) != 1 || len(rows[0].Figures) != 3+intervals {
		t.Fatalf("%s: %v", out.Bytes(), err)
	}
	for _, f := range rows[0].Figures[:3] {
		if !(f.Median() > 0) {
			t.Errorf("%s is %v", f.Name, f.Values)
		}
	}
}
