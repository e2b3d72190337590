package transport

import (
	"context"
	"sync"
	"time"

	"roomlog/server/docs"
	"roomlog/server/room"
)

// turns let each user do one thing at a time: what few can do at once in all, such as to read a document, is then everybody's, whoever asks for
// it however often. The zero turns are ready to use; they may be used concurrently.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

// turn is one user's: who has put something into taken has it. It is there while somebody has it or waits for it.
type turn struct {
	taken chan struct{} // holds one
	users int
}

// take waits for a user's turn; done ends it. Errors: that of ctx, when it ended first.
func (t *turns) take(ctx context.Context, user string) (done func(), err error) {
	t.mu.Lock()
	mine := t.of[user]
	if mine == nil {
		if t.of == nil {
			t.of = make(map[string]*turn)
		}
		mine = &turn{taken: make(chan struct{}, 1)}
		t.of[user] = mine
	}
	mine.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.of, user)
		}
	}
	select {
	case mine.taken <- struct{}{}:
		return func() { <-mine.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

const (
	// docPatience is for how long a read of a document waits for others of its user, and docPause for how long one is sent away that has.
	docPatience = 10 * time.Second
	docPause    = time.Second
)

// turnToRead waits for a user's turn to read a document (rule DOC-6); done ends it. Errors: `unavailable`.
func (s *Server) turnToRead(ctx context.Context, user string) (done func(), refused *room.Error) {
	waiting, cancel := context.WithTimeout(ctx, docPatience)
	defer cancel()
	done, err := s.quotas.reading.take(waiting, user)
	if err != nil {
		return nil, &room.Error{
			Code: room.CodeUnavailable, Title: "You are reading too many documents at once; try again.", RetryAfter: docPause, Cause: err,
		}
	}
	return done, nil
}

// readDoc reads a document for a user. Errors: `bad_request` (field sv), `unavailable`.
func (s *Server) readDoc(ctx context.Context, user string, id room.ID, name string, vector []byte) (docs.Doc, *room.Error) {
	done, refused := s.turnToRead(ctx, user)
	if refused != nil {
		return docs.Doc{}, refused
	}
	defer done()
	return s.cfg.Docs.Read(ctx, id, name, vector)
}

// hasDoc reports for a user whether a document has all of an update, which may take a read of it. Errors: `bad_update`, `unavailable`.
func (s *Server) hasDoc(ctx context.Context, user string, id room.ID, name string, update []byte) (bool, *room.Error) {
	done, refused := s.turnToRead(ctx, user)
	if refused != nil {
		return false, refused
	}
	defer done()
	return s.cfg.Docs.Has(ctx, id, name, update)
}
