package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Script is a schedule of faults. The zero Script does nothing.
type Script struct {
	// Seed is what the random steps draw from; the script's own `seed` line, else 1. Print it.
	Seed  uint64
	steps []scriptStep
	until time.Duration // 0: no end of its own
}

// scriptStep is one `at`, `every` or `random` line.
type scriptStep struct {
	line    int
	first   time.Duration
	every   span // zero: once
	choices []choice
}

// choice is a fault as written, with the ranges that a random step draws from.
type choice struct {
	fault  Fault
	bytes  [2]int64
	delay  span
	rate   [2]int64
	age    span
	lasts  span // zero: until something replaces it
	healed bool // `heal` instead of a fault
}

// span is a duration between two.
type span [2]time.Duration

func (s span) draw(rng *rand.Rand) time.Duration {
	if s[1] <= s[0] {
		return s[0]
	}
	return s[0] + time.Duration(rng.Int64N(int64(s[1]-s[0])+1))
}

func drawInt(r [2]int64, rng *rand.Rand) int64 {
	if r[1] <= r[0] {
		return r[0]
	}
	return r[0] + rng.Int64N(r[1]-r[0]+1)
}

// ParseScript reads a schedule, one step per line; `#` starts a comment. Errors name the line.
//
//	seed 42                                    what random steps draw from
//	at 2s blackhole                            from 2 s after the start …
//	for 500ms                                  … the step before lasts so long (or on its own line: "at 2s blackhole for 500ms")
//	at 5s cut                                  reset all connections once
//	every 3s cut-after 120 down                at 3 s, 6 s, …; cut-after without `for` cuts one connection
//	random 1s-3s blackhole for 200ms-1s | cut | cut-after 1-4000 down | delay 50ms jitter 20ms for 1s
//	                                           after each 1 to 3 s, one of these
//	at 20s heal                                end all faults
//	until 60s                                  the schedule ends, healed; without it, what has no end stays
//
// Faults: cut, cut-after BYTES, blackhole, delay TIME [jitter TIME], throttle BYTES_PER_S, expire TIME,
// refuse, healthy; then, as they apply, up or down, times N, class /PATH, for TIME. A-B draws between the two.
func ParseScript(text string) (*Script, error) {
	s := &Script{Seed: 1}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.parseLine(i+1, words); err != nil {
			return nil, fmt.Errorf("script line %d: %w", i+1, err)
		}
	}
	return s, nil
}

func (s *Script) parseLine(number int, words []string) error {
	verb, rest := words[0], words[1:]
	if len(rest) == 0 {
		return fmt.Errorf("%s needs something after it", verb)
	}
	switch verb {
	case "seed":
		seed, err := strconv.ParseUint(rest[0], 10, 64)
		if err != nil || len(rest) > 1 {
			return fmt.Errorf("seed needs one whole number")
		}
		s.Seed = seed
		return nil
	case "until":
		end, err := parseSpan(rest[0])
		if err != nil || len(rest) > 1 || end[0] != end[1] || end[0] == 0 {
			return fmt.Errorf("until needs one duration such as 60s")
		}
		s.until = end[0]
		return nil
	case "for":
		return s.parseFor(rest)
	case "at", "every", "random":
		return s.parseStep(number, verb, rest)
	}
	return fmt.Errorf("unknown word %q: at, every, random, for, until or seed", verb)
}

// parseFor gives the step before it a length.
func (s *Script) parseFor(words []string) error {
	lasts, err := parseSpan(words[0])
	if err != nil || len(words) > 1 || lasts[1] == 0 {
		return fmt.Errorf("for needs one duration such as 500ms")
	}
	if len(s.steps) == 0 || len(s.steps[len(s.steps)-1].choices) != 1 {
		return fmt.Errorf("for follows the one fault that it gives a length to")
	}
	c := &s.steps[len(s.steps)-1].choices[0]
	if c.lasts != (span{}) {
		return fmt.Errorf("the step before has a length already")
	}
	return c.last(lasts)
}

func (s *Script) parseStep(number int, verb string, words []string) error {
	when, err := parseSpan(words[0])
	if err != nil {
		return err
	}
	step := scriptStep{line: number, first: when[0]}
	if verb != "at" {
		step.every = when
		if when[0] <= 0 {
			return fmt.Errorf("%s needs a time above 0", verb)
		}
	}
	if verb != "random" && when[0] != when[1] {
		return fmt.Errorf("%s needs one time; a range is for random", verb)
	}
	for _, part := range strings.Split(strings.Join(words[1:], " "), "|") {
		c, err := parseChoice(strings.Fields(part))
		if err != nil {
			return err
		}
		step.choices = append(step.choices, c)
	}
	if verb != "random" && len(step.choices) > 1 {
		return fmt.Errorf("%s takes one fault; a choice is for random", verb)
	}
	s.steps = append(s.steps, step)
	return nil
}

// parseChoice reads a fault and what limits it.
func parseChoice(words []string) (choice, error) {
	if len(words) == 0 {
		return choice{}, fmt.Errorf("a fault is missing: one of %s, heal", kindNames)
	}
	if len(words) == 1 && words[0] == "heal" {
		return choice{healed: true}, nil
	}
	c := choice{fault: Fault{Kind: Kind(words[0])}}
	rest, err := c.parseAmount(words[1:])
	for err == nil && len(rest) > 0 {
		rest, err = c.parseLimit(rest)
	}
	if err != nil {
		return c, err
	}
	if c.fault.Kind == CutAfter && c.lasts == (span{}) && c.fault.Times == 0 {
		c.fault.Times = 1
	}
	return c, c.fault.Validate()
}

// parseAmount reads the number that a kind of fault needs, and returns the words after it.
func (c *choice) parseAmount(words []string) ([]string, error) {
	var err error
	switch c.fault.Kind {
	case CutAfter, Delay, Throttle, Expire:
		if len(words) == 0 {
			return nil, fmt.Errorf("%s needs a number", c.fault.Kind)
		}
	default:
		return words, nil
	}
	switch c.fault.Kind {
	case CutAfter:
		c.bytes, err = parseRange(words[0])
		c.fault.Bytes = c.bytes[0]
	case Delay:
		c.delay, err = parseSpan(words[0])
		c.fault.Delay = c.delay[0]
	case Throttle:
		c.rate, err = parseRange(words[0])
		c.fault.Rate = c.rate[0]
	case Expire:
		c.age, err = parseSpan(words[0])
		c.fault.Age = c.age[0]
	}
	return words[1:], err
}

// parseLimit reads one of `up`, `down`, `jitter T`, `times N`, `class /P`, `for T`.
func (c *choice) parseLimit(words []string) ([]string, error) {
	word := words[0]
	if word == string(Up) || word == string(Down) {
		c.fault.Direction = Direction(word)
		return words[1:], nil
	}
	if len(words) < 2 {
		return nil, fmt.Errorf("what does %q mean here? up, down, jitter TIME, times N, class /PATH or for TIME", word)
	}
	arg, rest := words[1], words[2:]
	switch {
	case word == "jitter" && c.fault.Kind == Delay:
		jitter, err := parseSpan(arg)
		c.fault.Jitter = jitter[1]
		return rest, err
	case word == "times" && c.fault.Kind == CutAfter:
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("times needs a whole number above 0")
		}
		c.fault.Times = n
		return rest, nil
	case word == "class":
		c.fault.Class = arg
		return rest, nil
	case word == "for":
		lasts, err := parseSpan(arg)
		if err != nil {
			return nil, err
		}
		return rest, c.last(lasts)
	}
	return nil, fmt.Errorf("what does %q mean here? up, down, jitter TIME, times N, class /PATH or for TIME", word)
}

// last gives the choice a length.
func (c *choice) last(lasts span) error {
	if c.healed || c.fault.Kind == Cut || lasts[1] <= 0 {
		return fmt.Errorf("only a fault that lasts can have a length, above 0")
	}
	c.lasts = lasts
	return nil
}

// parseSpan reads "2s" or "1s-3s".
func parseSpan(word string) (span, error) {
	from, to, ranged := strings.Cut(word, "-")
	var s span
	var err error
	if s[0], err = time.ParseDuration(from); err == nil {
		s[1] = s[0]
		if ranged {
			s[1], err = time.ParseDuration(to)
		}
	}
	if err != nil || s[0] < 0 || s[1] < s[0] {
		return s, fmt.Errorf("%q is no duration: write 500ms, 2s or 1s-3s", word)
	}
	return s, nil
}

// parseRange reads "120" or "1-4000".
func parseRange(word string) ([2]int64, error) {
	from, to, ranged := strings.Cut(word, "-")
	var r [2]int64
	var err error
	if r[0], err = strconv.ParseInt(from, 10, 64); err == nil {
		r[1] = r[0]
		if ranged {
			r[1], err = strconv.ParseInt(to, 10, 64)
		}
	}
	if err != nil || r[0] < 0 || r[1] < r[0] {
		return r, fmt.Errorf("%q is no number of bytes: write 120 or 1-4000", word)
	}
	return r, nil
}
