package chaos

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Step is one act of a schedule.
type Step struct {
	At    time.Duration // since the start
	Line  int           // of the script; 0 for the end of the schedule
	Heal  bool          // end the fault of Class, or all with All
	All   bool
	Class string
	Fault Fault // when Heal is false
}

// String is the step as the log shows it.
func (s Step) String() string {
	switch {
	case s.All:
		return fmt.Sprintf("%v heal", s.At)
	case s.Heal:
		return fmt.Sprintf("%v end of line %d", s.At, s.Line)
	}
	return fmt.Sprintf("%v %v", s.At, s.Fault)
}

// pending is a line of the script with its next turn.
type pending struct {
	step *scriptStep
	at   time.Duration
}

// Steps are the acts of the script in order of time, the same for the same script and seed. The
// sequence may be endless. Where a fault takes the place of one that has a length, the end of the
// first is left out, as it would end the second.
func (s *Script) Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		rng := rand.New(rand.NewPCG(s.Seed, 0))
		var turns []*pending
		for i := range s.steps {
			step := &s.steps[i]
			at := step.first
			if step.every != (span{}) {
				at = step.every.draw(rng)
			}
			turns = append(turns, &pending{step: step, at: at})
		}
		ends := map[string]Step{} // by class: when the fault in force ends by its length
		for {
			next := earliest(turns)
			end, ending := earliestEnd(ends)
			var act Step
			switch {
			case ending && (next == nil || end.At <= next.at):
				act = end
				delete(ends, end.Class)
			case next != nil:
				act = next.take(rng, ends)
			default:
				if s.until > 0 {
					yield(Step{At: s.until, Heal: true, All: true})
				}
				return
			}
			if s.until > 0 && act.At >= s.until {
				yield(Step{At: s.until, Heal: true, All: true})
				return
			}
			if !yield(act) {
				return
			}
		}
	}
}

// take makes the step of this turn, notes when it ends and sets the next turn.
func (p *pending) take(rng *rand.Rand, ends map[string]Step) Step {
	c := p.step.choices[0]
	if n := len(p.step.choices); n > 1 {
		c = p.step.choices[rng.IntN(n)]
	}
	act := Step{At: p.at, Line: p.step.line, Fault: c.fault, Class: c.fault.Class}
	act.Fault.Bytes = drawInt(c.bytes, rng)
	act.Fault.Delay = c.delay.draw(rng)
	act.Fault.Rate = drawInt(c.rate, rng)
	act.Fault.Age = c.age.draw(rng)
	lasts := c.lasts.draw(rng)
	switch {
	case c.healed:
		act = Step{At: p.at, Line: p.step.line, Heal: true, All: true}
		clear(ends)
	case c.fault.Kind != Cut:
		delete(ends, act.Class)
		if lasts > 0 {
			ends[act.Class] = Step{At: p.at + lasts, Line: p.step.line, Heal: true, Class: act.Class}
		}
	}
	if p.step.every == (span{}) {
		p.at = -1
	} else {
		p.at += p.step.every.draw(rng)
	}
	return act
}

// earliest returns the turn that comes first, the upper line on a tie; nil when none is left.
func earliest(turns []*pending) *pending {
	var first *pending
	for _, p := range turns {
		if p.at >= 0 && (first == nil || p.at < first.at) {
			first = p
		}
	}
	return first
}

// earliestEnd returns the first end by length; on a tie the smaller class, for determinism.
func earliestEnd(ends map[string]Step) (first Step, ok bool) {
	for _, s := range ends {
		if !ok || s.At < first.At || s.At == first.At && s.Class < first.Class {
			first, ok = s, true
		}
	}
	return first, ok
}

// Target is what a schedule acts on; [Proxy] is one.
type Target interface {
	Set(Fault) error
	Heal()
	HealClass(class string)
}

// Run plays the script on target and returns nil after its last step, which leaves in force what
// has no end; or it heals and returns ctx's cause when ctx ended first. log, unless nil, hears of each
// step after it has been taken.
func (s *Script) Run(ctx context.Context, target Target, log func(Step)) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for step := range s.Steps() {
		timer.Reset(time.Until(start.Add(step.At)))
		select {
		case <-ctx.Done():
			target.Heal()
			return context.Cause(ctx)
		case <-timer.C:
		}
		switch {
		case step.All:
			target.Heal()
		case step.Heal:
			target.HealClass(step.Class)
		default:
			if err := target.Set(step.Fault); err != nil {
				return fmt.Errorf("script line %d: %w", step.Line, err)
			}
		}
		if log != nil {
			log(step)
		}
	}
	return nil
}
