package streams

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"roomlog/server/room"
)

// told is a hint on the bus: what a text has from an offset on, or that it is over.
type told struct {
	Seq    room.Seq `json:"q"`
	Offset int      `json:"o,omitempty"`
	Text   string   `json:"t,omitempty"`
	Over   bool     `json:"x,omitempty"`
}

func (d *Desk) hint(id room.ID, t told) {
	if d.cfg.Say == nil {
		return
	}
	body, _ := json.Marshal(t) // numbers and texts always marshal
	d.cfg.Say(id, body)
}

// say tells other nodes what texts have, at most so often.
func (d *Desk) say() {
	for {
		select {
		case <-d.says:
		case <-d.ctx.Done():
			return
		}
		type unsaid struct {
			id room.ID
			told
		}
		var list []unsaid
		d.mu.Lock()
		for _, t := range d.texts {
			if t.producing() && t.said < len(t.have) {
				list = append(list, unsaid{t.room, told{Seq: t.seq, Offset: t.said, Text: t.have[t.said:]}})
				t.said = len(t.have)
			}
		}
		d.mu.Unlock()
		for _, one := range list {
			d.hint(one.id, one.told)
		}
		if !d.pause(sayEvery) {
			return
		}
	}
}

// Hear takes what another node said of a room. What does not fit counts for nothing but a look at the store.
func (d *Desk) Hear(id room.ID, body []byte) {
	var h told
	read := json.Unmarshal(body, &h) == nil && h.Seq > 0 && h.Offset >= 0
	d.mu.Lock()
	t := d.texts[key{id, h.Seq}]
	if d.closed || !d.rooms[id] && (t == nil || !h.Over) {
		d.mu.Unlock()
		return
	}
	shows := false
	switch {
	case !read:
		d.reload(id)
	case h.Over:
		if t != nil {
			d.forget(t)
		}
	case t != nil && t.producing() && (!t.settled() || h.Offset+len(h.Text) <= len(t.have)): // the store tells who is ahead
	default:
		if t == nil && h.Offset == 0 {
			t = d.know(key{id, h.Seq})
			d.reload(id)
		}
		if shows = d.follow(t, h); !shows {
			d.reload(id)
		}
		shows = shows && t.sure
	}
	d.mu.Unlock()
	switch {
	case shows:
		d.show(t)
	case read && h.Over:
		d.hub.EndPart(id, h.Seq)
	}
}

// follow takes what a hint says, where it goes on from what is known. The caller holds the lock.
func (d *Desk) follow(t *text, h told) bool {
	if t == nil || h.Offset > len(t.have) || d.bytes+len(h.Text) > d.cfg.MaxText {
		return false
	}
	known := t.have[h.Offset:]
	if len(known) > len(h.Text) {
		return strings.HasPrefix(known, h.Text)
	}
	if !strings.HasPrefix(h.Text, known) {
		return false
	}
	d.put(t, t.have[:h.Offset]+h.Text)
	t.taken = time.Time{} // another node takes the parts by now, if this one did
	return true
}

// reload has a room read from the store, if somebody reads it here. The caller holds the lock.
func (d *Desk) reload(id room.ID) {
	if d.rooms[id] {
		d.loads[id] = true
		wake(d.loaded)
	}
}

// load reads from the store what was missed: of rooms that are asked for, and now and then of all that somebody reads.
func (d *Desk) load() {
	check := time.NewTicker(d.cfg.CheckEvery)
	defer check.Stop()
	for {
		select {
		case <-d.loaded:
		case <-check.C:
			d.mu.Lock()
			for id := range d.rooms {
				d.loads[id] = true
			}
			d.mu.Unlock()
		case <-d.ctx.Done():
			return
		}
		for ids := d.toLoad(); len(ids) > 0; ids = d.toLoad() {
			err := d.loadRooms(ids)
			if err == nil {
				continue
			}
			d.mu.Lock()
			for _, id := range ids {
				d.loads[id] = true
			}
			d.mu.Unlock()
			if !d.pause(again) {
				return
			}
		}
	}
}

func (d *Desk) toLoad() (ids []room.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.loads {
		if len(ids) == roomsMost {
			break
		}
		ids = append(ids, id)
		delete(d.loads, id)
	}
	return ids
}

func (d *Desk) loadRooms(ids []room.ID) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
	defer cancel()
	list, err := d.cfg.Store.FindStreams(ctx, ids, 0)
	if err != nil {
		return err
	}
	asked, found := make(map[room.ID]bool), make(map[key]bool)
	for _, id := range ids {
		asked[id] = true
	}
	var shown, ended []*text
	d.mu.Lock()
	for _, s := range list {
		k := key{s.Room, s.Seq}
		found[k] = true
		t := d.texts[k]
		if t == nil && d.rooms[s.Room] {
			t = d.know(k)
		}
		if t != nil {
			t.sure = true
		}
		if t != nil && (!t.producing() || t.settled()) && !strings.HasPrefix(t.have, s.Text) { // else hints have said more, or parts have
			t.taken = time.Time{}
			d.put(t, s.Text)
		}
	}
	for k, t := range d.texts {
		switch {
		case !asked[k.room]:
		case !found[k] && t.from.Before(began):
			d.forget(t)
			ended = append(ended, t)
		case t.sure:
			shown = append(shown, t)
		}
	}
	d.mu.Unlock()
	for _, t := range ended {
		d.hub.EndPart(t.room, t.seq)
	}
	for _, t := range shown {
		d.show(t)
	}
	return nil
}
