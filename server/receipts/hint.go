package receipts

import (
	"encoding/json"

	"roomlog/server/room"
)

// change is what became of the receipts of a room between two versions. rows nil, where before and after differ: it is not said.
type change struct {
	room          room.ID
	epoch         room.Epoch
	before, after int64
	rows          []room.Receipt
}

// hintMost is how many receipts a hint names; of more it says that there are some.
const hintMost = 256

// told is a hint on the bus.
type told struct {
	Epoch  room.Epoch `json:"e"`
	Before int64      `json:"b"`
	After  int64      `json:"a"`
	Rows   []toldRow  `json:"r,omitempty"`
}

type toldRow struct {
	User      string   `json:"u"`
	Delivered room.Seq `json:"d"`
	Read      room.Seq `json:"r"`
	Version   int64    `json:"v"`
}

// hint is what other nodes are told of a change.
func (c change) hint() []byte {
	t := told{Epoch: c.epoch, Before: c.before, After: c.after}
	if len(c.rows) <= hintMost {
		for _, r := range c.rows {
			t.Rows = append(t.Rows, toldRow{r.User, r.Delivered, r.Read, r.Version})
		}
	}
	body, _ := json.Marshal(t) // numbers and texts always marshal
	return body
}

// Hear takes what another node said of a room. What cannot be read, or does not fit, counts for nothing but a look at the store.
func (d *Desk) Hear(id room.ID, body []byte) {
	var t told
	c := change{room: id}
	if json.Unmarshal(body, &t) == nil && t.Before >= 0 && t.Before < t.After {
		c.epoch, c.before, c.after = t.Epoch, t.Before, t.After
		for _, r := range t.Rows {
			if r.User == "" || r.Version <= t.Before || r.Version > t.After || r.Read < 0 || r.Delivered < r.Read {
				c.rows = nil
				break
			}
			c.rows = append(c.rows, room.Receipt{User: r.User, Delivered: r.Delivered, Read: r.Read, Version: r.Version})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rooms[id] == nil || d.closed {
		return
	}
	if c.after > 0 && len(c.rows) > 0 && len(d.changes) < queueMost {
		d.changes = append(d.changes, c)
	} else {
		d.loads[id] = true
	}
	wake(d.shows)
}
