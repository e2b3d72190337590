package hub

import (
	"time"

	"roomlog/server/room"
)

// troubleLasts is for how long a batch that the store refused counts against it. It is the next send
// that shows whether it can store again, and one comes only to a server that says it is ready.
const troubleLasts = 10 * time.Second

// trouble is a batch that the store did not keep.
type trouble struct {
	at    time.Time
	title string
}

// troubled notes that the store did not keep a batch, and why; a batch that is kept takes it back.
func (a *appender) troubled(title string) {
	a.hub.trouble.Store(&trouble{time.Now(), title})
}

// Trouble says why sends cannot be stored just now, as far as the last batch tells: it is refused or
// still unanswered. nil: nothing is known against it.
func (h *Hub) Trouble() *room.Error {
	t := h.trouble.Load()
	if t == nil || time.Since(t.at) > troubleLasts {
		return nil
	}
	return &room.Error{Code: room.CodeUnavailable, Title: t.title}
}
