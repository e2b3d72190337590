package transport

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"roomlog/server/ysync"
)

// caretType is the type of the signals that are awareness; their key is the id of the client in Yjs.
const caretType = "awareness"

// mostCarets is how many ids of others are remembered that are gone.
const mostCarets = 10_000

// carets are the awareness of a document as one connection has it: which ids are its own, and whose the others are. Clients of y-websocket say
// again what they hear of others, so an id belongs to who introduced it, as far as this connection was shown.
type carets struct {
	doc        string
	connection string // its own, in signals

	mu     sync.Mutex
	mine   map[uint64]uint64 // the clock of each id
	others map[uint64]*caret
}

// caret is an id of another connection.
type caret struct {
	key, user string // the key: of the signal; "": it is gone
	clock     uint64 // as the client was shown it
	shift     uint64 // how much that is above the signal's: a client takes nothing that does not rise
}

func newCarets(doc string) *carets {
	return &carets{doc: doc, mine: make(map[uint64]uint64), others: make(map[uint64]*caret)}
}

type caretData struct {
	Doc   string          `json:"doc"`
	Clock uint64          `json:"clock"`
	State json.RawMessage `json:"state"`
}

// caretFrame is the signal of one id; without data it ends.
type caretFrame struct {
	Op   string     `json:"op"`
	ID   int        `json:"id"`
	Room string     `json:"room"`
	Type string     `json:"type"`
	Key  string     `json:"key"`
	Data *caretData `json:"data,omitempty"`
}

// own are the signals of what a client of a user says, without what is not its to say.
func (c *carets) own(roomID, user string, entries []ysync.Entry) (signals []caretFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		clock, is := c.mine[e.Client]
		other := c.others[e.Client]
		f := caretFrame{Op: "signal", ID: yjsCaret, Room: roomID, Type: caretType, Key: strconv.FormatUint(e.Client, 10)}
		switch {
		case e.State == nil && !is, is && e.Clock < clock, !is && len(c.mine) >= maxMine:
			continue
		case !is && other != nil && (other.user != user || e.Clock <= other.clock):
			continue // somebody else's, or what was heard of it; the same user may have come back by another connection
		case e.State == nil:
			delete(c.mine, e.Client)
		default:
			c.mine[e.Client] = e.Clock
			delete(c.others, e.Client)
			f.Data = &caretData{c.doc, e.Clock, e.State}
		}
		signals = append(signals, f)
	}
	return signals
}

// maxMine is how many ids one connection may have; the signals of a connection in a room have the same bound.
const maxMine = 16

// shown are the entries for the client of what became of the room's signals.
func (c *carets) shown(set []json.RawMessage, gone []string, full bool) (entries []ysync.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := make(map[string]bool)
	for _, text := range set {
		var v struct {
			User, Connection, Type, Key string
			Data                        caretData
		}
		if json.Unmarshal(text, &v) != nil || v.Type != caretType || v.Data.Doc != c.doc || v.Connection == c.connection {
			continue
		}
		client, err := strconv.ParseUint(v.Key, 10, 53)
		if err != nil || len(v.Data.State) == 0 || string(v.Data.State) == "null" || v.Data.Clock >= 1<<53 {
			continue
		}
		key := v.Connection + " " + v.Type + " " + v.Key
		here[key] = true
		was := c.others[client]
		if _, mine := c.mine[client]; mine || was != nil && was.key != "" && was.key != key && was.user != v.User {
			continue // who had the id first has it
		}
		now := &caret{key: key, user: v.User}
		switch {
		case was != nil && was.key == key:
			now.shift = was.shift
		case was != nil && v.Data.Clock <= was.clock:
			now.shift = was.clock + 1 - v.Data.Clock
		}
		now.clock = v.Data.Clock + now.shift
		c.others[client] = now
		entries = append(entries, ysync.Entry{Client: client, Clock: now.clock, State: v.Data.State})
	}
	for _, key := range gone {
		client, err := strconv.ParseUint(key[strings.LastIndexByte(key, ' ')+1:], 10, 53)
		if was := c.others[client]; err == nil && was != nil && was.key == key {
			entries = append(entries, was.left(client))
		}
	}
	for client, was := range c.others {
		if full && was.key != "" && !here[was.key] {
			entries = append(entries, was.left(client))
		}
		if was.key == "" && len(c.others) > mostCarets {
			delete(c.others, client)
		}
	}
	return entries
}

// left is the entry of an id that is gone.
func (c *caret) left(client uint64) ysync.Entry {
	c.key = ""
	c.clock++
	return ysync.Entry{Client: client, Clock: c.clock}
}
