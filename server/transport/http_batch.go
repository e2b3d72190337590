package transport

import (
	"context"
	"encoding/json"
	"net/http"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// postEvents is a POST of several events (rule BATCH-1): each has the answer that it would have had alone, in their order.
// One that is refused keeps none of the others from being stored. The first has been taken off the user's rate.
func (s *Server) postEvents(w http.ResponseWriter, r *http.Request, who *auth.Identity, id room.ID, posts []wire.Post) error {
	b := &batch{s: s, w: w, r: r, body: append([]byte(`{"room":"`+string(id)), `","results":[`...)}
	for i, p := range posts {
		f, err := s.launchNext(r.Context(), who, id, p, i == 0)
		b.waiting = append(b.waiting, inBatch{f, err})
		if f != nil && f.asks {
			b.land(r.Context()) // what is asked about might be overtaken by what comes behind it
		}
	}
	b.land(r.Context())
	writeJSON(w, http.StatusOK, append(b.body, `]}`...))
	return nil
}

func (s *Server) launchNext(ctx context.Context, who *auth.Identity, id room.ID, p wire.Post, first bool) (*flight, error) {
	if !first {
		if err := s.quotas.rates.send(who.User); err != nil {
			return nil, err
		}
	}
	if p.Err != nil {
		return nil, p.Err
	}
	return s.launch(ctx, who, id, p)
}

// batch gathers the answer to several sends.
type batch struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	waiting []inBatch
	any     bool // the answer has a result
	body    []byte
}

// inBatch is a send of a batch: on its way, or refused.
type inBatch struct {
	*flight
	err error
}

// land appends the results of those that wait.
func (b *batch) land(ctx context.Context) {
	for _, one := range b.waiting {
		if b.any {
			b.body = append(b.body, ',')
		}
		b.any = true
		err := one.err
		if err == nil {
			b.body, _, err = b.s.land(ctx, one.flight, b.body)
		}
		if err != nil {
			problem, _ := json.Marshal(b.s.problemFor(b.w, b.r, err)) // text and numbers always marshal
			b.body = append(b.body, problem...)
		}
	}
	b.waiting = b.waiting[:0]
}
