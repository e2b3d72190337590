package transport

import (
	"context"
	"sync"
	"testing"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/ysync"
)

// stuckDocs reads the documents of one room when it is told to.
type stuckDocs struct {
	room.DocStore
	stuck   room.ID
	release chan struct{}
}

func (s *stuckDocs) Docs(ctx context.Context, q room.DocQuery) (room.Docs, error) {
	if q.Room == s.stuck {
		select {
		case <-s.release:
		case <-ctx.Done():
			return room.Docs{}, ctx.Err()
		}
	}
	return s.DocStore.Docs(ctx, q)
}

// DOC-6: who reads documents again and again, as many at once as they like, takes the place of nobody else who reads or writes one.
func TestOneReaderOfDocuments(t *testing.T) {
	store := &stuckDocs{stuck: "pad:slow", release: make(chan struct{})}
	o := withDocs()
	kinds := o.server
	o.server = func(c *Config) {
		kinds(c)
		store.DocStore = c.Access.(room.DocStore)
		c.Docs = docs.New(docs.Config{Store: store, AtOnce: 2})
	}
	f := start(t, o)
	may := auth.Grant{Rooms: "pad:*", Can: []auth.Action{auth.Read}}
	asker := f.hocus()
	asker.opens("pad:b", f.token("loud", may), false)
	loud, other := f.token("loud"), f.token("other")
	var asking sync.WaitGroup
	defer asking.Wait()
	released := sync.OnceFunc(func() { close(store.release) })
	defer released() // before the wait
	answers := make(chan int, 6)
	for range cap(answers) {
		asking.Go(func() { answers <- f.request("GET", "/v1/rooms/pad:slow/docs/main", loud, "").status })
	}
	reading := &f.srv.quotas.reading
	waiting := func() int {
		reading.mu.Lock()
		defer reading.mu.Unlock()
		if mine := reading.of["loud"]; mine != nil {
			return mine.users
		}
		return 0
	}
	eventually(t, "all of them ask", func() bool { return waiting() == cap(answers) })
	asker.changes("pad:b", written(7, "no")) // who may not write: is it there already?
	eventually(t, "DOC-6: that is a read of one's own as well", func() bool { return waiting() == cap(answers)+1 })
	if a := f.request("GET", "/v1/rooms/pad:a/docs/main", other, ""); a.status != 200 {
		t.Errorf("DOC-6: another's read: %d %s", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/pad:a/docs/main", other, string(written(1, "ab")), "Content-Type: application/octet-stream"); a.status != 201 {
		t.Errorf("DOC-7: another's write: %d %s", a.status, a.text)
	}
	released()
	for range cap(answers) {
		if status := <-answers; status != 200 {
			t.Errorf("DOC-6: one's own read: %d", status)
		}
	}
	asker.hears("HOC-6: not stored", ysync.AppendStatus(nil, "pad:b", false))
	eventually(t, "nothing is kept of who has read", func() bool {
		reading.mu.Lock()
		defer reading.mu.Unlock()
		return len(reading.of) == 0
	})
}
