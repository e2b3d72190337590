// Package agenda knows when something is next to be done with which of many things, such as the rooms in which a signal ends, and has it
// done then: one goroutine and one timer for all of them.
package agenda

import (
	"container/heap"
	"context"
	"time"
)

// Entry is a thing of an agenda: one per thing, kept by the thing. The zero Entry, but for Of, has nothing due.
type Entry[T any] struct {
	Of T

	due   time.Time
	place int // in the heap, counted from 1; 0: not in it
}

// Agenda has things in the order in which they are due. The lock of its owner guards it and its entries; Run is called without.
type Agenda[T any] struct {
	byTime byTime[T]
	sooner chan struct{} // holds one: something is due before the one that Run waits for
}

// New makes an agenda in which nothing is due.
func New[T any]() *Agenda[T] { return &Agenda[T]{sooner: make(chan struct{}, 1)} }

// Put says when something is due of an entry, whatever was said before; the zero time: nothing is. What is due is so until it is put again.
func (a *Agenda[T]) Put(e *Entry[T], due time.Time) {
	if due.Equal(e.due) {
		return
	}
	e.due = due
	switch {
	case due.IsZero():
		heap.Remove(&a.byTime, e.place-1)
	case e.place > 0:
		heap.Fix(&a.byTime, e.place-1)
	default:
		heap.Push(&a.byTime, e)
	}
	if e.place == 1 {
		select {
		case a.sooner <- struct{}{}:
		default:
		}
	}
}

// First is what is due first, and when; the zero time: nothing is due.
func (a *Agenda[T]) First() (of T, due time.Time) {
	if len(a.byTime) == 0 {
		return of, due
	}
	return a.byTime[0].Of, a.byTime[0].due
}

// Run has do called when something is due, until ctx ends, at least a time apart: what comes due meanwhile is done at once. do puts
// anew what it did, and returns when something is due next, as First says it; a thing that stays due is done over and over.
func (a *Agenda[T]) Run(ctx context.Context, apart time.Duration, do func(now time.Time) (next time.Time)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.sooner:
		case <-timer.C:
		}
		if next := do(time.Now()); !next.IsZero() {
			timer.Reset(max(time.Until(next), apart))
		}
	}
}

// byTime is a heap.Interface.
type byTime[T any] []*Entry[T]

func (s byTime[T]) Len() int           { return len(s) }
func (s byTime[T]) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s byTime[T]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i+1, j+1
}

func (s *byTime[T]) Push(x any) {
	e := x.(*Entry[T])
	*s = append(*s, e)
	e.place = len(*s)
}

func (s *byTime[T]) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last], *s = nil, (*s)[:last]
	e.place = 0
	return e
}
