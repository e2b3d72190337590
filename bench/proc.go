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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("what a process costs is read from Linux's /proc: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	p, errCPU := parseStat(string(text))
	rss, errRSS := parseRSS(string(status))
	return usage{CPU: p.cpu, RSS: rss}, errors.Join(errCPU, errRSS)
}

// stat is a part of /proc/PID/stat.
type stat struct {
	parent  int
	cpu     time.Duration // user and system
	ofEnded time.Duration // the same of children that have ended and been waited for
}

// parseStat reads /proc/PID/stat (proc(5)).
func parseStat(text string) (stat, error) {
	// The command's name, in parentheses, may hold spaces and parentheses: count from behind it, field 3 first.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, errors.New("/proc stat: too few fields")
	}
	var v [5]int64
	var errs [5]error
	for i, at := range []int{4, 14, 15, 16, 17} {
		v[i], errs[i] = strconv.ParseInt(fields[at-3], 10, 64)
	}
	ticks := func(n int64) time.Duration { return time.Duration(n) * time.Second / ticksPerSecond }
	return stat{int(v[0]), ticks(v[1] + v[2]), ticks(v[3] + v[4])}, errors.Join(errs[:]...)
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
