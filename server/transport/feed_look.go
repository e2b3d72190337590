package transport

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// list looks for users that watch among the members of rooms that were poked, who do not have those rooms yet.
func (f *feed) list(ctx context.Context) error {
	f.mu.Lock()
	ids := slices.Collect(maps.Keys(f.lists))
	clear(f.lists)
	f.mu.Unlock()
	for _, id := range ids {
		for after, more := "", true; more; {
			page, err := f.srv.cfg.Members.ListMembers(ctx, id, after, maxList)
			if err != nil {
				return err
			}
			f.mu.Lock()
			for _, m := range page {
				after = m.User
				if w := f.users[m.User]; w != nil {
					if _, has := w.rooms[id]; !has {
						w.stale = true
						f.mark(w, id)
					}
				}
			}
			f.mu.Unlock()
			more = len(page) == maxList
		}
	}
	return nil
}

// sweep looks at what was poked, and now and then marks all, so that what nobody told of is found in the end.
func (f *feed) sweep(ctx context.Context) {
	ticker := time.NewTicker(feedSweep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.listed:
			if err := f.list(ctx); err != nil && ctx.Err() == nil {
				f.again("") // which asks until it is answered
			}
		case <-ticker.C:
			f.again("")
		}
	}
}

// look reads what is marked of a watch, and tells it. left: somebody who is given all is to be given more at once.
func (f *feed) look(ctx context.Context, w *watch) (left bool, err error) {
	f.mu.Lock()
	stale := w.stale
	w.stale = false
	f.mu.Unlock()
	if stale {
		if err := f.index(ctx, w); err != nil {
			f.mu.Lock()
			w.stale = true
			f.mu.Unlock()
			return false, err
		}
	}
	fill, tell := f.take(w)
	for v, q := range fill {
		more, wrong := f.fill(ctx, w.user, v, q)
		if left = left || more; wrong != nil {
			f.failed(w, v, q, wrong)
			err = wrong
		}
	}
	if err == nil {
		err = f.tell(ctx, w, tell)
	}
	if err != nil { // some may be told twice, which they are not, since it is no news then
		f.mu.Lock()
		for v, marked := range tell {
			maps.Copy(v.marked, marked)
		}
		f.mu.Unlock()
	}
	return left, err
}

// index reads which rooms the user has. Those that come or go are marked. It comes before what is read of them: what happens to a room
// after it is in the index marks it, and what was before is read.
func (f *feed) index(ctx context.Context, w *watch) error {
	now := make(map[room.ID]struct{})
	for after, more := room.ID(""), true; more && len(now) < feedRooms; {
		page, err := f.srv.cfg.Members.Memberships(ctx, w.user, after, maxList)
		if err != nil {
			return err
		}
		for _, m := range page {
			if after = m.Room; len(now) < feedRooms {
				now[m.Room] = struct{}{}
			}
		}
		more = len(page) == maxList
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(w.watchers) == 0 {
		return nil // nobody takes it out of the index any more
	}
	for id := range w.rooms {
		if _, still := now[id]; !still {
			f.unindex(w, id)
			f.mark(w, id)
		}
	}
	for id := range now {
		if _, had := w.rooms[id]; had {
			continue
		}
		w.rooms[id] = struct{}{}
		if f.rooms[id] == nil {
			f.rooms[id] = make(map[*watch]struct{})
		}
		f.rooms[id][w] = struct{}{}
		f.mark(w, id)
	}
	return nil
}

// take takes what is to be told to whom: to those that take it. The others keep what is marked until they do.
func (f *feed) take(w *watch) (fill map[*watcher]*asked, tell map[*watcher]map[room.ID]struct{}) {
	fill, tell = make(map[*watcher]*asked), make(map[*watcher]map[room.ID]struct{})
	f.mu.Lock()
	all := slices.Collect(maps.Keys(w.watchers))
	f.mu.Unlock()
	full := make(map[*watcher]bool)
	for _, v := range all { // with no lock held: the hub calls with its own
		full[v] = v.conn.Full()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for v := range w.watchers {
		if w.all {
			maps.Copy(v.marked, w.rooms)
			for id := range v.told {
				v.marked[id] = struct{}{}
			}
		}
		switch {
		case full[v]:
		case v.asked != nil:
			if fill[v] = v.asked; !v.asked.begun { // what was marked before is read now
				clear(v.marked)
			}
		case len(v.marked) > 0:
			tell[v], v.marked = v.marked, make(map[room.ID]struct{})
		}
	}
	w.all = false
	return fill, tell
}

// fill gives somebody the next page of all their rooms. more: there are further ones.
func (f *feed) fill(ctx context.Context, user string, v *watcher, q *asked) (more bool, err error) {
	page, err := f.srv.cfg.Overviews.Overviews(ctx, room.OverviewQuery{User: user, After: q.after, Limit: feedPage})
	if err != nil {
		return false, err
	}
	if !q.begun {
		clear(v.told)
	}
	who, m := v.who(), wire.Me{Full: !q.begun}
	took := 0
	for i := range page {
		o := &page[i]
		if took++; f.srv.shows(who, o) {
			m.Rooms = f.append(v, m.Rooms, o)
		}
		if q.after = o.Room; len(m.Rooms) >= feedBytes {
			break
		}
	}
	more = took < len(page) || len(page) == feedPage
	m.More = more
	if !q.begun && q.answer != nil {
		m.ID, m.HasID = q.id, q.hasID
		q.answer(m.Append(nil), nil)
	} else if !q.begun || len(m.Rooms) > 0 || !more {
		v.conn.Reply(v.framing.AppendMe(nil, m))
	}
	q.begun = true
	if !more {
		f.mu.Lock()
		v.asked = nil
		f.mu.Unlock()
	}
	return more, nil
}

// failed tells somebody who has not been answered that they will not be. Who has been is told when the store answers.
func (f *feed) failed(w *watch, v *watcher, q *asked, err error) {
	if q.begun || q.answer == nil {
		return
	}
	f.mu.Lock()
	v.asked = nil
	if delete(f.of, v.conn); !v.gone {
		f.drop(w, v)
	}
	f.mu.Unlock()
	q.answer(nil, err)
}

// append appends an overview, and notes what was told.
func (f *feed) append(v *watcher, dst []byte, o *room.Overview) []byte {
	at := len(dst)
	if at > 0 {
		dst = append(dst, ',')
		at++
	}
	dst = wire.AppendOverview(dst, o)
	v.told[o.Room] = maphash.Bytes(f.seed, dst[at:])
	return dst
}

// tell reads marked rooms, and tells each watcher those that are not what it was told.
func (f *feed) tell(ctx context.Context, w *watch, tell map[*watcher]map[room.ID]struct{}) error {
	union := make(map[room.ID]struct{})
	for _, marked := range tell {
		maps.Copy(union, marked)
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(union)), feedPage) {
		page, err := f.srv.cfg.Overviews.Overviews(ctx, room.OverviewQuery{User: w.user, Limit: len(ids), Rooms: ids})
		if err != nil {
			return err
		}
		found := make(map[room.ID]*room.Overview, len(page))
		for i := range page {
			found[page[i].Room] = &page[i]
		}
		for v, marked := range tell {
			f.tellOne(v, ids, marked, found)
		}
	}
	return nil
}

func (f *feed) tellOne(v *watcher, ids []room.ID, marked map[room.ID]struct{}, found map[room.ID]*room.Overview) {
	who, m := v.who(), wire.Me{}
	flush := func() {
		if len(m.Rooms) > 0 || len(m.Gone) > 0 {
			v.conn.Reply(v.framing.AppendMe(nil, m))
			m = wire.Me{}
		}
	}
	for _, id := range ids {
		if _, is := marked[id]; !is {
			continue
		}
		o := found[id]
		was, told := v.told[id]
		switch {
		case o == nil || !f.srv.shows(who, o):
			if told {
				delete(v.told, id)
				m.Gone = append(m.Gone, id)
			}
			continue
		case told && maphash.Bytes(f.seed, wire.AppendOverview(nil, o)) == was:
			continue
		}
		if m.Rooms = f.append(v, m.Rooms, o); len(m.Rooms) >= feedBytes {
			flush()
		}
	}
	flush()
}

// shows judges an overview as it was read, with the role that its snapshot has: whether it is for somebody's eyes. It takes away the last
// message where that is from before they came (rule MEM-6).
func (s *Server) shows(who *auth.Identity, o *room.Overview) bool {
	policy, known := s.cfg.Kinds.Policy(o.Room.Kind())
	if s.mutateFeed() { // mutant feed_open
		return true
	}
	if !known || !who.Grants.Allow(auth.Read, o.Room) || s.access.refuses(who, o.Room) != nil {
		return false
	}
	if policy.Members && !policy.RoleAllows(o.Role, string(auth.Read)) {
		return false
	}
	if policy.Members && policy.HistorySince && o.Last != nil && o.Last.Seq < o.Since {
		o.Last = nil
	}
	return true
}
