package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what the process has cost so far, or holds now.
type usage struct {
	CPU time.Duration // user and system
	RSS int64         // bytes resident
}

// ticksPerSecond is the unit of CPU time in /proc; Linux has fixed it at 100 for programs (proc(5)).
const ticksPerSecond = 100

func processUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("what a process costs is read from Linux's /proc: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	cpu, errCPU := parseCPU(string(stat))
	rss, errRSS := parseRSS(string(status))
	return usage{CPU: cpu, RSS: rss}, errors.Join(errCPU, errRSS)
}

// parseCPU reads the user and system time of /proc/PID/stat.
func parseCPU(stat string) (time.Duration, error) {
	// The command's name, in parentheses, may hold spaces and parentheses: count from behind it.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("/proc stat: too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, errors.Join(err1, err2)
}

// parseRSS reads the resident bytes of /proc/PID/status.
func parseRSS(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kib int64
			_, err := fmt.Sscanf(rest, "%d kB", &kib)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc status: no VmRSS")
}
