package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// undo is what must be done to take a server down again, in the order it was built. Safe for
// concurrent use; each step runs once.
type undo struct {
	running sync.Mutex // held by a run, so that a second one returns when all is done

	mu    sync.Mutex
	steps []step
	errs  []error // of the steps that have run
}

type step struct {
	name string
	do   func(context.Context) error
}

// push registers a step, at the moment of what it takes back.
func (u *undo) push(name string, do func(context.Context) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steps = append(u.steps, step{name, do})
}

// run does every step, last first, whatever the others return, and joins their errors. A later run
// does what has been pushed since and returns all errors again.
func (u *undo) run(ctx context.Context) error {
	u.running.Lock()
	defer u.running.Unlock()
	for {
		s, more := u.pop()
		if !more {
			return errors.Join(u.errs...)
		}
		if err := s.do(ctx); err != nil {
			u.errs = append(u.errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
}

func (u *undo) pop() (step, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.steps) == 0 {
		return step{}, false
	}
	last := u.steps[len(u.steps)-1]
	u.steps = u.steps[:len(u.steps)-1]
	return last, true
}
