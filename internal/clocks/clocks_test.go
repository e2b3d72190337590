// Package clocks holds the rule that no seq, order or cursor depends on the time of day (I28): where the server
// numbers, keeps and hands out events, the clock on the wall dates things and bounds how long they are kept, and
// every such place is on the list here.
package clocks

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// numbering are the folders in which events are numbered, kept and handed out. Elsewhere time of day decides what is
// about time of day: tokens, bans, schedules.
var numbering = []string{"server/room", "server/wire", "server/hub", "server/store/sqlite", "server/store/postgres"}

// wall finds a look at the time of day. Differences of [time.Now] are taken on the monotonic clock, so that in Go
// only what leaves it counts: a date that is formatted, stored or given out.
var wall = regexp.MustCompile(`time\.Now\(\)\.(UTC|Unix|Local|Format|Truncate|Add\([^()]*\)\.Unix)|, time\.Now\(\)\)|: time\.Now,|clock_timestamp\(\)|current_timestamp|unixepoch|julianday`)

// uses are the places that may, by what their line has, and what for.
var uses = map[string]string{
	"clock: time.Now,":                                      "`at` of an event, which orders nothing (ROOM-6)",
	"at := clock_timestamp()":                               "`at` of an event, which orders nothing (ROOM-6)",
	"created_at":                                            "when the database, or a room, was made: shown, not compared",
	"values (1, lower(hex(":                                 "when the database was made",
	"e.at >= clock_timestamp() - p_age":                     "how long events are kept, where a kind says so by age (RET-1)",
	"e.at < clock_timestamp() - $5":                         "how long events are kept, where a kind says so by age (RET-1)",
	"g.at > clock_timestamp() - p_tags":                     "how long the tags of pruned events are kept (TAG-7)",
	"t.at < clock_timestamp() - $2":                         "how long the tags of pruned events are kept (TAG-7)",
	"y.at < clock_timestamp() - p_keys":                     "how long it is remembered that a key was deleted (STATE-10)",
	"e.at < clock_timestamp() - p_events":                   "how long events of state are kept, where a kind keeps the map alone (STATE-11)",
	"default clock_timestamp()      -- when next was taken": "how long pokes are kept",
	"clock_timestamp() >= l.at + $3":                        "how long pokes are kept",
	"clock_timestamp() >= at + $1":                          "how long pokes are kept",
	"at = clock_timestamp() from old":                       "how long pokes are kept",
	"b.until > clock_timestamp()":                           "how long a ban holds",
	"values ($1, $2, clock_timestamp() + $3":                "how long a node has a duty",
	"versions[s.room] + s.place, clock_timestamp()":         "when a mark was moved: shown, not compared",
	"values ($1, $2, $3, $4, clock_timestamp() + $5":        "how long a text that grows waits for its producer",
	"until = clock_timestamp() + $":                         "how long a text that grows waits for its producer",
	"s.until < clock_timestamp()":                           "how long a text that grows waits for its producer",
	"x.until < clock_timestamp()":                           "how long a text that grows waits for its producer",
	"not null default clock_timestamp(),":                   "when an event was reported: shown, not compared",
	"d.until < clock_timestamp()":                           "how long a node has a duty",
	"moment timestamptz := clock_timestamp()":               "when the data of an event went: shown, not compared",
	"then clock_timestamp() end where who":                  "when an erasure was done: shown, not compared",
	"snapshotSQL":                                           "the age of a foreign transaction, for a metric",
}

func TestNumberingKnowsNoTimeOfDay(t *testing.T) {
	for _, folder := range numbering {
		err := fs.WalkDir(os.DirFS(root), folder, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (strings.HasSuffix(name, "test") || entry.Name() == "testdata"):
				return fs.SkipDir
			case strings.HasSuffix(name, "_test.go"), strings.Contains(name, "mutant"):
				return nil
			case !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".sql"):
				return nil
			}
			text, err := os.ReadFile(root + "/" + name)
			if err != nil {
				return err
			}
			number := 0
			for line := range strings.Lines(string(text)) {
				number++
				if code := strings.TrimSpace(line); strings.HasPrefix(code, "//") || strings.HasPrefix(code, "--") || !wall.MatchString(line) {
					continue
				}
				if reason(line) == "" {
					t.Errorf("%s:%d looks at the time of day, and is not on the list: %s", name, number, strings.TrimSpace(line))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func reason(line string) string {
	for has, why := range uses {
		if strings.Contains(line, has) {
			return why
		}
	}
	return ""
}
