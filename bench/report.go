package bench

import (
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strings"
)

// Report is what a run gives as JSON.
type Report struct {
	Machine Machine `json:"machine"`
	Rows    []Row   `json:"rows"`
}

// Machine is what the figures were measured on.
type Machine struct {
	Cores   int    `json:"cores"`
	CPU     string `json:"cpu,omitempty"`
	Kernel  string `json:"kernel,omitempty"`
	Go      string `json:"go"`
	Version string `json:"version,omitempty"` // of roomlog
}

func report(out io.Writer, o Options, rows []Row) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(Report{Machine: thisMachine(o), Rows: rows})
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
	return m
}
