package bustest

import (
	"maps"
	"sync"
	"time"

	"roomlog/server/room"
)

// heard is what a receiver was told.
type heard struct {
	isUp       bool
	ups, downs int
	reason     error // of the last Down
	missed     int
	received   int
	subscribed map[room.Topic]int
	messages   map[room.Topic]map[string]int // how often each came
	order      []string                      // of everything but messages: "up", "down", "subscribed TOPIC"
	overlaps   int                           // calls while another ran
}

// recorder is a receiver that keeps what it hears.
type recorder struct {
	mu      sync.Mutex
	changed sync.Cond
	heard   heard
	busy    bool          // a call runs
	held    chan struct{} // not nil: calls wait until it is closed
	waits   bool          // one does
}

func newRecorder() *recorder {
	r := &recorder{heard: heard{subscribed: map[room.Topic]int{}, messages: map[room.Topic]map[string]int{}}}
	r.changed.L = &r.mu
	return r
}

// hold makes the receiver stay in its next call until release.
func (r *recorder) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = make(chan struct{})
}

func (r *recorder) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil {
		close(r.held)
		r.held = nil
	}
}

// waitHeld waits until a call is held.
func (r *recorder) waitHeld() bool {
	return r.until(func() bool { return r.waits })
}

func (r *recorder) take(note func(h *heard)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		r.heard.overlaps++
	}
	r.busy = true
	if held := r.held; held != nil {
		r.waits = true
		r.changed.Broadcast()
		r.mu.Unlock()
		<-held
		r.mu.Lock()
		r.waits = false
	}
	note(&r.heard)
	r.busy = false
	r.changed.Broadcast()
}

// Received is room.BusReceiver's, and so are the others.
func (r *recorder) Received(topic room.Topic, message []byte) {
	r.take(func(h *heard) {
		if h.messages[topic] == nil {
			h.messages[topic] = map[string]int{}
		}
		h.messages[topic][string(message)]++
		h.received++
	})
}

func (r *recorder) Subscribed(topic room.Topic) {
	r.take(func(h *heard) {
		h.subscribed[topic]++
		h.order = append(h.order, "subscribed "+string(topic))
	})
}

func (r *recorder) Up() {
	r.take(func(h *heard) {
		h.isUp = true
		h.ups++
		h.order = append(h.order, "up")
	})
}

func (r *recorder) Down(reason error) {
	r.take(func(h *heard) {
		h.isUp = false
		h.downs++
		h.reason = reason
		h.order = append(h.order, "down")
	})
}

func (r *recorder) Missed(n int) {
	r.take(func(h *heard) { h.missed += n })
}

// snapshot is what was heard so far.
func (r *recorder) snapshot() heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.heard
	h.subscribed = maps.Clone(h.subscribed)
	h.messages = make(map[room.Topic]map[string]int, len(r.heard.messages))
	for topic, messages := range r.heard.messages {
		h.messages[topic] = maps.Clone(messages)
	}
	return h
}

// wait waits until what was heard is enough; false when patience ends.
func (r *recorder) wait(enough func(heard) bool) bool {
	return r.until(func() bool { return enough(r.heard) })
}

func (r *recorder) until(enough func() bool) bool {
	late := false
	timer := time.AfterFunc(patience, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.changed.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !enough() {
		if late {
			return false
		}
		r.changed.Wait()
	}
	return true
}
