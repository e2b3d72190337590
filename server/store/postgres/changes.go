package postgres

import (
	"encoding/json"
	"time"

	"roomlog/server/room"
)

// The lists of p_changes (see migration 11). N are places of sends, from 1.
type (
	change struct {
		N      int      `json:"n"`
		Target room.Seq `json:"target,omitempty"`
		Tag    string   `json:"tag,omitempty"`
		Own    bool     `json:"own"`
		Others bool     `json:"others"`
		Within int64    `json:"within"` // microseconds
		Value  string   `json:"value"`
		Remove bool     `json:"remove"`
	}
	memberChange struct {
		N    int    `json:"n"`
		Who  string `json:"who"`
		Role string `json:"role"`
	}
	mention struct {
		N   int    `json:"n"`
		Who string `json:"who"`
	}
	again struct {
		N int `json:"n"`
	}
	stateTerms struct { // see migration 21
		N     int       `json:"n"`
		IfSeq *room.Seq `json:"if_seq"`
		Keys  int       `json:"keys"`
		Bytes int       `json:"bytes"`
	}
	stateSet struct {
		N     int     `json:"n"`
		Key   string  `json:"key"`
		Value *string `json:"value"`
	}
	docOf struct { // see migration 24
		N    int       `json:"n"`
		Name string    `json:"name"`
		ID   string    `json:"id"`
		Seq  room.Seq  `json:"seq"`
		Mark room.Mark `json:"mark"`
	}
)

// changes are what the events of the batch do beside being stored, as JSON; nil where all that they do is that.
func (l *layout) changes() []byte {
	var lists struct {
		Changes  []change       `json:"changes,omitempty"`
		Members  []memberChange `json:"members,omitempty"`
		Mentions []mention      `json:"mentions,omitempty"`
		Again    []again        `json:"again,omitempty"`
		State    []stateTerms   `json:"state,omitempty"`
		Set      []stateSet     `json:"set,omitempty"`
		Docs     bool           `json:"docs,omitempty"` // there are some: see migration 23
		Of       []docOf        `json:"of,omitempty"`
	}
	for i, at := range l.sends {
		s, n := &l.batch[at], i+1
		if c := s.Change; c != nil {
			lists.Changes = append(lists.Changes, changeOf(n, s.Type, c))
		}
		if s.State != nil {
			terms, set := stateOf(n, s.State)
			lists.State, lists.Set = append(lists.State, terms), append(lists.Set, set...)
		}
		if c := s.Doc; c != nil {
			lists.Docs = true
			if c.ID != "" {
				seq, mark := c.First()
				lists.Of = append(lists.Of, docOf{N: n, Name: c.Name, ID: c.ID, Seq: seq, Mark: mark})
			}
		}
		if s.Member != nil {
			lists.Members = append(lists.Members, memberChange{N: n, Who: s.Member.User, Role: s.Member.Role})
		}
		for _, who := range s.Mentions {
			lists.Mentions = append(lists.Mentions, mention{N: n, Who: who})
		}
	}
	for _, n := range l.again { // none without changes
		lists.Again = append(lists.Again, again{n})
	}
	if lists.Changes == nil && lists.Members == nil && lists.Mentions == nil && lists.State == nil && !lists.Docs {
		return nil
	}
	text, err := json.Marshal(lists)
	if err != nil {
		panic(err) // of numbers, texts and truths
	}
	return text
}

func changeOf(n int, typ string, c *room.Change) change {
	to := change{N: n, Target: c.Target, Own: c.Own, Others: c.Others, Within: c.Within.Microseconds(), Remove: c.Remove, Value: c.Emoji}
	if c.Target == 0 {
		to.Tag = c.TargetTag.String()
	}
	if typ == room.TypeEdit {
		to.Value = string(c.Data)
	}
	return to
}

func stateOf(n int, s *room.StateSet) (stateTerms, []stateSet) {
	terms, set := stateTerms{N: n}, make([]stateSet, len(s.Changes))
	terms.Keys, terms.Bytes = s.Bounds()
	if s.If {
		terms.IfSeq = &s.Seq
	}
	for i, c := range s.Changes {
		set[i] = stateSet{N: n, Key: c.Key}
		if c.Value != nil {
			value := string(c.Value)
			set[i].Value = &value
		}
	}
	return terms, set
}

// goneMeanwhile completes the verdicts of repeats whose events the same batch deleted before them: the function looks for what is
// stored before it does anything.
func goneMeanwhile(batch []room.Send, verdicts []room.Verdict) {
	type target struct {
		room room.ID
		seq  room.Seq
	}
	var gone map[target]*room.Gone
	for i := range batch {
		s, v := &batch[i], &verdicts[i]
		switch {
		case v.Refused != nil || v.NotStored || v.Held:
		case s.Type == room.TypeDelete && s.Change != nil && !v.Duplicate:
			if gone == nil {
				gone = make(map[target]*room.Gone)
			}
			gone[target{s.Room, v.Target}] = &room.Gone{Seq: v.Seq, By: s.Author, At: v.At}
		case gone == nil || !v.Duplicate || v.Gone != nil:
		case s.Type == room.TypeMessage:
			v.Gone = gone[target{s.Room, v.Seq}]
		case s.Type == room.TypeEdit:
			v.Gone = gone[target{s.Room, v.Target}]
		}
	}
}

// goneOf is what a row tells of what was deleted; nil: it was not.
func goneOf(seq *int64, by *string, at *time.Time) *room.Gone {
	if seq == nil {
		return nil
	}
	g := &room.Gone{Seq: *seq}
	if by != nil && at != nil {
		g.By, g.At = *by, at.UTC()
	}
	return g
}
