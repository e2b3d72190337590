package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Report is what a run gives as JSON.
type Report struct {
	Date     string         `json:"date"` // of the run's end, RFC 3339, UTC
	Machine  Machine        `json:"machine"`
	Settings map[string]any `json:"settings"` // of the run, by the names of their flags
	Rows     []Row          `json:"rows"`
}

// Machine is what the figures were measured on.
type Machine struct {
	Cores    int    `json:"cores"`
	CPU      string `json:"cpu,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	Go       string `json:"go"`
	Version  string `json:"version,omitempty"`    // of roomlog
	Commit   string `json:"commit,omitempty"`     // it was built from; with "+" where it had changes
	Postgres string `json:"postgresql,omitempty"` // version of the database
}

func report(ctx context.Context, out io.Writer, o Options, rows []Row) error {
	r := Report{Date: time.Now().UTC().Format(time.RFC3339), Machine: thisMachine(o), Settings: map[string]any{"duration": o.Duration.String()}, Rows: rows}
	for _, n := range o.numbers() {
		r.Settings[n.name] = *n.value
	}
	var err error
	if r.Machine.Postgres, err = postgresVersion(ctx, o.Stores); err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func thisMachine(o Options) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Version: o.Version}
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(kernel))
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, s := range built.Settings {
			switch {
			case s.Key == "vcs.revision":
				m.Commit = s.Value + m.Commit
			case s.Key == "vcs.modified" && s.Value == "true":
				m.Commit += "+"
			}
		}
	}
	return m
}

// postgresVersion is that of the first database among the stores, or empty.
func postgresVersion(ctx context.Context, stores []string) (version string, err error) {
	for _, store := range stores {
		if !strings.HasPrefix(store, "postgres") {
			continue
		}
		conn, err := pgx.Connect(ctx, store)
		if err != nil {
			return "", fmt.Errorf("ask the database for its version: %w", err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		err = conn.QueryRow(ctx, "show server_version").Scan(&version)
		return version, err
	}
	return "", nil
}
