package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestScriptErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\nsometimes 2s cut":             `script line 2: unknown word "sometimes"`,
		"at":                             "needs something after it",
		"at soon cut":                    `"soon" is no duration`,
		"at 2s":                          "a fault is missing",
		"at 2s explode":                  `unknown fault "explode"`,
		"at 2s cut-after":                "cut-after needs a number",
		"at 2s cut-after many":           `"many" is no number of bytes`,
		"at 2s cut-after 9-3":            "is no number of bytes",
		"at 2s delay":                    "delay needs a number",
		"at 2s throttle 0":               "rate above 0",
		"at 2s expire":                   "expire needs a number",
		"at 2s expire 0s":                "an age above 0",
		"at 2s expire 1s down":           "expire has no direction",
		"at 2s cut for 3s":               "only a fault that lasts",
		"at 2s blackhole sideways":       `what does "sideways" mean here`,
		"at 2s blackhole times 3":        `what does "times" mean here`,
		"at 2s cut-after 3 times 0":      "times needs a whole number",
		"at 1s-2s cut":                   "a range is for random",
		"every 0s cut":                   "above 0",
		"at 2s cut | heal":               "a choice is for random",
		"for 3s":                         "for follows the one fault",
		"at 2s blackhole for 1s\nfor 3s": "line 2: the step before has a length already",
		"at 2s cut\nfor 3s":              "only a fault that lasts",
		"seed x":                         "seed needs one whole number",
		"until 1s-2s":                    "until needs one duration",
	} {
		if _, err := ParseScript(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", text, err, want)
		}
	}
}

// stepsOf lists at most n steps as text.
func stepsOf(t *testing.T, text string, n int) []string {
	t.Helper()
	s, err := ParseScript(text)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for step := range s.Steps() {
		if len(list) == n {
			break
		}
		list = append(list, step.String())
	}
	return list
}

func TestScriptSteps(t *testing.T) {
	got := stepsOf(t, `
		at 2s blackhole          # a comment
		for 500ms
		at 5s cut
		every 3s cut-after 120 down
		at 6s delay 200ms jitter 20ms up class /v1/ws for 2s
		at 7s heal
		at 7500ms throttle 4096 for 10s
		at 8s refuse             # takes the throttle's place, so the throttle's end is left out
		at 8500ms expire 30s class /v1/sse
		until 10s`, 100)
	want := []string{
		"2s blackhole", "2.5s end of line 2", "3s cut-after 120 down times 1", "5s cut",
		"6s cut-after 120 down times 1", "6s delay 200ms jitter 20ms up class /v1/ws", "7s heal",
		"7.5s throttle 4096", "8s refuse", "8.5s expire 30s class /v1/sse", "9s cut-after 120 down times 1", "10s heal",
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRandomStepsComeFromTheSeed(t *testing.T) {
	script := func(seed int) string {
		return fmt.Sprintf("seed %d\nrandom 1s-3s blackhole for 200ms-1s | cut | cut-after 1-4000 down | delay 10ms-50ms for 1s", seed)
	}
	one, again, other := stepsOf(t, script(42), 50), stepsOf(t, script(42), 50), stepsOf(t, script(43), 50)
	if len(one) != 50 || !slices.Equal(one, again) {
		t.Errorf("the same seed gave\n%v\nand\n%v", one, again)
	}
	if slices.Equal(one, other) {
		t.Error("two seeds gave the same steps")
	}
	all := strings.Join(one, "\n")
	for _, kind := range []string{"blackhole", "cut\n", "cut-after", "delay", "end of line"} {
		if !strings.Contains(all, kind) {
			t.Errorf("50 random steps without %q:\n%s", kind, all)
		}
	}
}

// logTarget writes down what a schedule does, and when.
type logTarget struct {
	start time.Time
	log   []string
}

func (l *logTarget) note(what string) {
	l.log = append(l.log, fmt.Sprintf("%v %s", time.Since(l.start), what))
}
func (l *logTarget) Set(f Fault) error      { l.note(f.String()); return f.Validate() }
func (l *logTarget) Heal()                  { l.note("heal") }
func (l *logTarget) HealClass(class string) { l.note("heal class " + class) }

func TestScriptRun(t *testing.T) {
	s, err := ParseScript("every 2s blackhole for 500ms\nuntil 4500ms")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		target := &logTarget{start: time.Now()}
		if err := s.Run(t.Context(), target, nil); err != nil {
			t.Fatal(err)
		}
		want := []string{"2s blackhole", "2.5s heal class ", "4s blackhole", "4.5s heal"}
		if !slices.Equal(target.log, want) {
			t.Errorf("got %q, want %q", target.log, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		target := &logTarget{start: time.Now()}
		ended := errors.New("ended")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(ended) })
		if err := s.Run(ctx, target, nil); err != ended {
			t.Errorf("Run returned %v, want the cause", err)
		}
		want := []string{"2s blackhole", "2.5s heal class ", "3s heal"}
		if !slices.Equal(target.log, want) {
			t.Errorf("got %q, want %q", target.log, want)
		}
	})
}
