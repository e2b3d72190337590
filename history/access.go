package history

import (
	"math"
	"time"
)

// afterExpiry is how long a connection may outlive its token (AUTH-9), and what a busy machine may be late by.
const afterExpiry = 30*time.Second + 2*time.Second

// ban is a time in which a user was without a room, or without all (room is empty).
type ban struct {
	user, room string
	from, to   int64
	bound      int64 // after from, in which it may still be given
	line       *Line
}

// bans lists the revocations, each until it was lifted.
func bans(lines []Line) []ban {
	var list []ban
	for i := range lines {
		l := &lines[i]
		switch l.Op {
		case OpRevoke:
			list = append(list, ban{user: l.Author, room: l.Room, from: l.TEnd, to: math.MaxInt64, bound: l.Max, line: l})
		case OpAllow:
			for j := range list {
				if b := &list[j]; b.user == l.Author && b.room == l.Room && b.from < l.TMono && b.to == math.MaxInt64 {
					b.to = l.TMono
				}
			}
		}
	}
	return list
}

// checkRevoked is I17: an event that was first sent after a revocation had returned is not given to the user,
// whose readers carry the user's name as their client, later than the bound. On one node the bound is 0.
func checkRevoked(x *index, t *tally) {
	list := bans(x.lines)
	if len(list) == 0 {
		return
	}
	begun := x.begunByTag()
	for i := range list {
		b := &list[i]
		for _, e := range x.events { // the canaries
			if at, ok := e.begun(); ok && (b.room == "" || e.room == b.room) && at > b.from && at < b.to && e.place() != nil {
				t.checked(1)
			}
		}
		known := b.from
		for _, down := range x.downs(PartStore) { // a node that cannot read access finds out when it can
			if down.TMono < known+b.bound && down.TEnd > known {
				known = down.TEnd
			}
		}
		b.given(x.lines, begun, func(l *Line) {
			if l.TMono > known+b.bound {
				t.violated(l, "%s was given seq %d of %s %v after the revocation; it was sent %v after it", l.Client, l.Seq, l.Room,
					time.Duration(l.TMono-b.from), time.Duration(begun[l.Tag]-b.from))
			}
		})
	}
}

// given calls found for each event that the user was given during the ban, and that was first sent during it.
func (b *ban) given(lines []Line, begun map[string]int64, found func(*Line)) {
	for j := range lines {
		l := &lines[j]
		if l.Op != OpEvent || l.Client != b.user || b.room != "" && l.Room != b.room || l.TMono >= b.to {
			continue
		}
		if at, ok := begun[l.Tag]; ok && at > b.from && at < b.to {
			found(l)
		}
	}
}

// revokeLag is how long after the answer to a revocation the last event came that it was to stop.
func (x *index) revokeLag() (lag time.Duration) {
	list := bans(x.lines)
	if len(list) == 0 {
		return 0
	}
	begun := x.begunByTag()
	for i := range list {
		list[i].given(x.lines, begun, func(l *Line) { lag = max(lag, time.Duration(l.TMono-list[i].from)) })
	}
	return lag
}

func (x *index) begunByTag() map[string]int64 {
	first := map[string]int64{}
	for _, e := range x.events {
		if at, ok := e.begun(); ok {
			first[e.tag] = at
		}
	}
	return first
}

// checkExpiry is I18: a client is given nothing once its last token is past by more than the leeway, and is not
// turned away for an expired token before.
func checkExpiry(x *index, t *tally) {
	type holder struct{ client, sub string }
	good := map[holder]*Line{}
	counted := map[*Line]bool{}
	for i := range x.lines {
		l := &x.lines[i]
		key := holder{l.Client, l.Sub}
		token := good[key]
		switch {
		case l.Op == OpToken:
			if token == nil || l.TEnd > token.TEnd || l.TMono > token.TEnd {
				good[key] = l
			}
			continue
		case token == nil:
			continue
		}
		at := l.TMono
		if l.Op == OpSend && l.Result == OK {
			at = l.TEnd
		}
		switch {
		case l.Op == OpPage, l.Op == OpEvent, l.Op == OpSend && l.Result == OK:
			if late := time.Duration(at - token.TEnd); late > afterExpiry {
				t.violated(l, "%s was served in %s %v after its token had ended", l.Client, l.Room, late)
			}
		case l.Op == OpEnd && l.Code == "token_expired":
			if early := time.Duration(token.TEnd - at); early > time.Second { // `exp` has whole seconds
				t.violated(l, "%s was turned away %v before its token ends", l.Client, early)
			}
			if !counted[token] {
				counted[token] = true
				t.checked(1)
			}
		}
	}
}

// checkIsolation is I19: a client with `may` lines is given only what was sent to those rooms, under whatever
// name it came; and every refusal of a room reads the same, whether there is such a room or not.
func checkIsolation(x *index, t *tally) {
	may := map[string]map[string]bool{}
	for i := range x.lines {
		if l := &x.lines[i]; l.Op == OpMay {
			if may[l.Client] == nil {
				may[l.Client] = map[string]bool{}
			}
			may[l.Client][l.Room] = true
		}
	}
	if len(may) == 0 {
		return
	}
	home := map[string]string{} // of a tag: the room it was sent to; tags are drawn anew for each
	for _, e := range x.events {
		if _, ok := e.begun(); ok {
			home[e.tag] = e.room
		}
	}
	refusals := map[string]*Line{} // by transport
	for i := range x.lines {
		l := &x.lines[i]
		rooms, told := may[l.Client]
		if !told {
			continue
		}
		switch l.Op {
		case OpEvent:
			t.checked(1)
			if from, ok := home[l.Tag]; ok && from != l.Room {
				t.violated(l, "%s was given tag %s as an event of %s; it was sent to %s", l.Client, l.Tag, l.Room, from)
			} else if !rooms[l.Room] {
				t.violated(l, "%s was given seq %d of %s, which it may not read", l.Client, l.Seq, l.Room)
			}
		case OpPage, OpHead:
			if !rooms[l.Room] {
				t.violated(l, "%s was told of %s, which it may not read", l.Client, l.Room)
			}
		case OpDeny:
			t.checked(1)
			first := refusals[l.Transport]
			switch {
			case rooms[l.Room]:
				t.violated(l, "%s was refused %s, which it may read, by %s", l.Client, l.Room, l.Code)
			case first == nil:
				refusals[l.Transport] = l
			case l.Code != first.Code || l.PayloadHash != first.PayloadHash:
				t.violated(l, "%s was refused %s by %s (%s), but %s was refused by %s (%s)", l.Client, l.Room, l.Code, l.PayloadHash, first.Room, first.Code, first.PayloadHash)
			}
		}
	}
}
