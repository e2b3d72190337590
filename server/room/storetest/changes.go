package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

// change is a send of the type that does c, by an author who may change their own messages. What it says is told apart by its text.
func change(id room.ID, author, typ, text string, c room.Change) room.Send {
	c.Own = true
	s := say(id, author, text)
	s.Type, s.Change = typ, &c
	return s
}

func edit(id room.ID, author string, target room.Seq, text string) room.Send {
	data := fmt.Appendf(nil, `{"text":%q}`, text)
	s := change(id, author, room.TypeEdit, text, room.Change{Target: target, Data: data})
	s.Data = fmt.Appendf(nil, `{"target":%d,"data":%s}`, target, data)
	return s
}

func erase(id room.ID, author string, target room.Seq) room.Send {
	return change(id, author, room.TypeDelete, "reason", room.Change{Target: target})
}

func react(id room.ID, author string, target room.Seq, emoji string) room.Send {
	return change(id, author, room.TypeReaction, emoji, room.Change{Target: target, Emoji: emoji})
}

// takenBack is a reaction that is taken back.
func takenBack(id room.ID, author string, target room.Seq, emoji string) room.Send {
	s := react(id, author, target, emoji)
	s.Change.Remove = true
	return s
}

// ofTag is the change of what has a tag, instead of a seq.
func ofTag(s room.Send, tag room.Tag) room.Send {
	c := *s.Change
	c.Target, c.TargetTag = 0, tag
	s.Change = &c
	return s
}

// byModerator is the change by who may change messages of others, and by nothing else their own.
func byModerator(s room.Send) room.Send {
	c := *s.Change
	c.Own, c.Others = false, true
	s.Change = &c
	return s
}

func refusedAs(v room.Verdict, want *room.Error) bool {
	r := v.Refused
	return r != nil && r.Code == want.Code && r.Field == want.Field && r.Limit == want.Limit && v == room.Verdict{Refused: r}
}

// one appends one send that must be stored.
func one(t *testing.T, s room.Store, send room.Send) room.Verdict {
	t.Helper()
	v := mustAppend(t, s, send).Verdicts[0]
	if v.Refused != nil || v.Duplicate || v.NotStored {
		t.Fatalf("a send of type %s (%+v) is answered with %+v", send.Type, send.Change, v)
	}
	return v
}

// sameGone compares what is left of two events.
func sameGone(a, b *room.Gone) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Seq == b.Seq && a.By == b.By && a.At.Equal(b.At))
}

// goneBy is what is left of an event that a delete event deleted.
func goneBy(author string, v room.Verdict) *room.Gone {
	return &room.Gone{Seq: v.Seq, By: author, At: v.At}
}

// CHG-1: an edit, a delete and a reaction are events, each with a seq, a tag and a verdict, and given back as they were
// sent, with the seq of the message as target.
func testChanges(t *testing.T, f Factory) {
	hs := f.pair(t)
	id := room.ID("chat:changes")
	other := one(t, hs[0], say(id, "u1", "before"))
	message := one(t, hs[0], say(id, "u1", "message"))
	doomed := one(t, hs[0], say(id, "u1", "doomed"))
	sends := []room.Send{
		edit(id, "u1", message.Seq, "edited"), react(id, "u2", message.Seq, "👍"),
		takenBack(id, "u2", message.Seq, "👍"), erase(id, "u1", doomed.Seq),
	}
	targets := []room.Seq{message.Seq, message.Seq, message.Seq, doomed.Seq}
	out := mustAppend(t, hs[1], sends...)
	log := mustLog(t, hs[0], id)
	checkDense(t, log, 1, 7)
	for i, v := range out.Verdicts {
		if v.Seq != room.Seq(4+i) || v.Target != targets[i] || v.Duplicate || v.Gone != nil || v.Refused != nil {
			t.Errorf("CHG-1: a %s of %d is answered with %+v", sends[i].Type, targets[i], v)
		}
		e := log[3+i]
		checkStored(t, e, sends[i], v)
		if e.Target != targets[i] || e.Gone != nil || e.Edited != nil || e.Reactions != nil {
			t.Errorf("CHG-1: a %s of %d is read as %+v", sends[i].Type, targets[i], e)
		}
	}
	for i, v := range mustAppend(t, hs[0], sends...).Verdicts {
		if want := duplicateOf(out.Verdicts[i]); v != want {
			t.Errorf("TAG-3: the repeat of a %s is answered with %+v, not %+v", sends[i].Type, v, want)
		}
	}
	asked := sends[3] // whose target is gone: it is a repeat all the same, and is judged no second time
	asked.Repeat = true
	if v := mustAppend(t, hs[1], asked).Verdicts[0]; v != duplicateOf(out.Verdicts[3]) {
		t.Errorf("SEND-6: asked for, a delete is answered with %+v", v)
	}
	if e := mustLog(t, hs[1], id)[0]; e.Seq != other.Seq || e.Target != 0 || e.Gone != nil || string(e.Data) != `{"text":"before"}` {
		t.Errorf("CHG-1: a message that nothing changed is read as %+v", e)
	}
	bare := say(id, "u1", "of an app that had the type before")
	bare.Type = room.TypeEdit
	if v := one(t, hs[0], bare); v.Seq != 8 || v.Target != 0 {
		t.Errorf("an edit that changes nothing is answered with %+v", v)
	}
}

// CHG-2, CHG-3: targets by seq and by tag, also of the same batch; what is no message, or no longer one, is refused, takes no
// seq, and fails no other send of the batch.
func testChangeTargets(t *testing.T, f Factory) {
	hs := f.pair(t)
	s, id := hs[0], room.ID("chat:targets")
	first, theirs := say(id, "u1", "first"), say(id, "u2", "theirs")
	app := say(id, "u1", "app")
	app.Type = "poll"
	mustAppend(t, s, first, theirs, app)
	fill(t, s, "chat:elsewhere", 9)
	second := say(id, "u1", "second")
	edited := edit(id, "u1", 1, "edit")
	later := say(id, "u1", "later")
	gone := erase(id, "u1", 1)
	out := mustAppend(t, hs[1],
		ofTag(edited, first.Tag),            // 4
		edit(id, "u1", 5, "of one to come"), // refused
		second,                              // 5
		ofTag(react(id, "u1", 0, "👍"), second.Tag),   // 6
		edit(id, "u1", 5, "of the same batch"),       // 7
		ofTag(erase(id, "u1", 0), later.Tag),         // refused: it comes later
		later,                                        // 8
		ofTag(erase(id, "u1", 0), later.Tag),         // 9
		ofTag(edit(id, "u1", 0, "gone"), later.Tag),  // refused: deleted
		ofTag(edit(id, "u1", 0, "u2's"), theirs.Tag), // refused: a tag is that of its author
		gone, // 10
	)
	targets := []room.Seq{1, 0, 0, 5, 5, 0, 0, 8, 0, 0, 1}
	seqs := []room.Seq{4, 0, 5, 6, 7, 0, 8, 9, 0, 0, 10}
	for i, v := range out.Verdicts {
		if v.Seq != seqs[i] || v.Target != targets[i] || seqs[i] == 0 && !refusedAs(v, room.UnknownTarget()) {
			t.Errorf("CHG-2: send %d of the batch is answered with %+v, not seq %d, target %d", i, v, seqs[i], targets[i])
		}
	}
	if g := out.Rooms[0]; g.Before != 3 || g.Head.Seq != 10 || g.Head != mustHead(t, s, id) {
		t.Errorf("ROOM-5: refusals among changes: the room grew to %+v", g)
	}
	unknown := map[string]room.Send{
		"nothing":              ofTag(edit(id, "u1", 0, "x"), newTag()),
		"seq 0":                edit(id, "u1", 0, "x"),
		"a seq below 0":        edit(id, "u1", -1, "x"),
		"a seq beyond head":    edit(id, "u1", 100, "x"),
		"a seq far beyond":     react(id, "u1", room.MaxSeq, "x"),
		"another type":         react(id, "u1", 3, "x"),
		"another type's tag":   ofTag(edit(id, "u1", 0, "x"), app.Tag),
		"an edit":              edit(id, "u1", 4, "x"),
		"an edit's tag":        ofTag(edit(id, "u1", 0, "x"), edited.Tag),
		"a reaction":           react(id, "u1", 6, "x"),
		"a delete":             erase(id, "u1", 9),
		"a deleted message":    erase(id, "u1", 8),
		"an edit of a deleted": edit(id, "u1", 1, "x"),
		"a reaction to one":    react(id, "u2", 1, "x"),
		"a deleted one's tag":  ofTag(erase(id, "u1", 0), first.Tag),
		"a moderator's":        byModerator(erase(id, "mod", 8)),
		"another room":         edit("chat:targets2", "u1", 1, "x"),
		"another room's seq":   byModerator(edit("chat:elsewhere", "u1", 10, "x")),
	}
	for name, send := range unknown {
		after := say(id, "u1", "after "+name)
		out := mustAppend(t, s, send, after)
		if !refusedAs(out.Verdicts[0], room.UnknownTarget()) {
			t.Errorf("CHG-3: a change of %s is answered with %+v", name, out.Verdicts[0])
		}
		if v := out.Verdicts[1]; v.Refused != nil || v.Seq != mustHead(t, s, id).Seq {
			t.Errorf("CHG-3: the send behind a change of %s is answered with %+v", name, v)
		}
		send.Repeat = true
		if v := mustAppend(t, s, send).Verdicts[0]; v != (room.Verdict{NotStored: true}) {
			t.Errorf("SEND-6: asked for, a change of %s that was refused is answered with %+v", name, v)
		}
	}
	log := mustLog(t, hs[1], id)
	checkDense(t, log, 1, 10+len(unknown))
	if r := mustFind(t, s, "chat:targets2"); r.Exists() {
		t.Errorf("ROOM-4: a change that was refused made the room %+v", r)
	}
	if v := mustAppend(t, s, edited).Verdicts[0]; !v.Duplicate || v.Target != 1 {
		t.Errorf("TAG-3: the repeat of an edit by tag is answered with %+v", v)
	}
	other := edit(id, "u1", 5, "other")
	other.Tag = edited.Tag
	if v := mustAppend(t, s, other).Verdicts[0]; !refusedAs(v, room.TagConflict()) {
		t.Errorf("TAG-4: another edit with the tag is answered with %+v", v)
	}
}

// CHG-4: authors may change their own messages, moderators all; who may neither, or too late, is refused.
func testChangeRights(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:rights")
	mustAppend(t, s, say(id, "u1", "1"), say(id, "u1", "2"), say(id, "u1", "3"), say(id, "mod", "4"))
	f.Backdate(t, id, 1, 3, time.Hour)
	head := room.Seq(4)
	within := func(s room.Send, within time.Duration, others bool) room.Send {
		c := *s.Change
		c.Within, c.Others = within, others
		s.Change = &c
		return s
	}
	neither := edit(id, "u1", 3, "x")
	neither.Change.Own = false
	for i, step := range []struct {
		send room.Send
		want *room.Error // nil: it is stored
	}{
		{edit(id, "u2", 3, "u1's"), room.NotYours()},
		{erase(id, "u2", 3), room.NotYours()},
		{neither, room.NotYours()},
		{edit(id, "u1", 3, "mine"), nil},
		{byModerator(edit(id, "mod", 3, "u1's")), nil},
		{byModerator(edit(id, "mod", 4, "mine")), nil},
		{within(edit(id, "u1", 1, "late"), 50*time.Minute, false), room.TooLate(50 * time.Minute)},
		{within(erase(id, "u1", 1), time.Second, false), room.TooLate(time.Second)},
		{within(edit(id, "u2", 1, "u1's, and late"), time.Second, false), room.NotYours()},
		{within(edit(id, "u1", 1, "in time"), 70*time.Minute, false), nil},
		{within(edit(id, "u1", 3, "in time"), time.Hour, false), nil},
		{within(edit(id, "u1", 1, "late, a moderator's own"), time.Minute, true), nil},
		{within(byModerator(erase(id, "mod", 1)), time.Minute, true), nil},
		{within(erase(id, "u1", 2), 0, false), nil},
		{react(id, "u2", 3, "👍"), nil},
		{within(react(id, "u2", 3, "👎"), time.Nanosecond, false), nil},
		{erase(id, "u1", 3), nil},
	} {
		out := mustAppend(t, s, step.send, say(id, "u3", "behind"))
		head++
		v := out.Verdicts[0]
		if step.want != nil && !refusedAs(v, step.want) {
			t.Errorf("CHG-4: step %d, a %s by %s (%+v), is answered with %+v, not %v", i, step.send.Type, step.send.Author, *step.send.Change, v, step.want)
		}
		if step.want == nil {
			head++
			if v.Refused != nil || v.Seq != head-1 || v.Target != step.send.Change.Target {
				t.Errorf("CHG-4: step %d, a %s by %s (%+v), is answered with %+v", i, step.send.Type, step.send.Author, *step.send.Change, v)
			}
		}
		if w := out.Verdicts[1]; w.Refused != nil || w.Seq != head {
			t.Fatalf("CHG-4: the send behind step %d is answered with %+v, not seq %d", i, w, head)
		}
	}
	var told *room.Error
	if errors.As(error(room.TooLate(50*time.Minute)), &told); told.Limit != 3000 {
		t.Errorf("CHG-4: the limit of 50 minutes is told as %d", told.Limit)
	}
}

// present reads a room's present content, all of it.
func present(t *testing.T, s room.Store, id room.ID) []room.Event {
	t.Helper()
	p := mustRead(t, s, room.Query{Room: id, Anchor: room.Latest, Limit: 10_000, Present: true})
	if p.Seq() != p.Head.Seq {
		t.Fatalf("CHG-9: the page up to the head %d ends at %d", p.Head.Seq, p.Seq())
	}
	return p.Events
}

// CHG-5, CHG-9: the present content of a message is what the last edit of it says; what was sent stays in the log. CHG-6: with reactions.
func testPresentContent(t *testing.T, f Factory) {
	hs := f.pair(t)
	s, id := hs[0], room.ID("chat:present")
	sends := fill(t, s, id, 6)
	first := edit(id, "u1", 2, "edited once")
	mustAppend(t, s, first, edit(id, "u1", 4, "four"))
	last := byModerator(edit(id, "mod", 2, "edited twice"))
	v := one(t, hs[1], last)
	reacted := mustAppend(t, s, react(id, "u3", 2, "👍"), react(id, "u2", 2, "👍"), react(id, "u2", 5, "🎉")).Verdicts
	mustAppend(t, s, first) // a repeat edits nothing
	log := mustLog(t, s, id)
	checkDense(t, log, 1, 12)
	for _, e := range log {
		if e.Edited != nil || e.Reactions != nil || e.Seq <= 6 && string(e.Data) != string(sends[e.Seq-1].Data) {
			t.Errorf("CHG-9: as it was sent, event %d is read as %+v", e.Seq, e)
		}
	}
	for _, q := range []room.Query{
		{Anchor: room.Latest, Limit: 100}, {Anchor: room.Before, Seq: 13, Limit: 100}, {Anchor: room.Before, Seq: 5, Limit: 4},
		{Anchor: room.Around, Seq: 3, Limit: 5}, {Anchor: room.Around, Seq: 9, Limit: 20}, {Anchor: room.After, Seq: 1, Limit: 3},
	} {
		q.Room, q.Present = id, true
		p := mustRead(t, hs[1], q)
		if p.Head.Seq != 12 {
			t.Errorf("CHG-9: %+v is as of %d", q, p.Head.Seq)
		}
		for _, e := range p.Events {
			want := log[e.Seq-1]
			switch e.Seq {
			case 2:
				want.Data = []byte(`{"text":"edited twice"}`)
				want.Edited = &room.Edited{Seq: v.Seq, At: v.At}
				want.Reactions = []room.Reaction{{Emoji: "👍", Count: 2, Users: []string{"u3", "u2"}}}
			case 4:
				want.Data, want.Edited = []byte(`{"text":"four"}`), &room.Edited{Seq: 8, At: log[7].At}
			case 5:
				want.Reactions = []room.Reaction{{Emoji: "🎉", Count: 1, Users: []string{"u2"}}}
			}
			if why := differs(e, want); why != "" {
				t.Errorf("CHG-9: %+v reads event %d as %+v: %s", q, e.Seq, e, why)
			}
		}
	}
	if reacted[0].Seq != 10 || len(present(t, s, id)) != 12 {
		t.Errorf("CHG-1: the reaction has seq %d, and %d events are read", reacted[0].Seq, len(present(t, s, id)))
	}
	// Bytes are those that are given: an edit may be longer than the message.
	long := edit(id, "u1", 6, fmt.Sprintf("%0500d", 1))
	mustAppend(t, s, long)
	q := room.Query{Room: id, Anchor: room.Before, Seq: 7, Limit: 6, MaxBytes: 400, Present: true}
	if p := mustRead(t, s, q); len(p.Events) != 1 || p.Events[0].Seq != 6 {
		t.Errorf("CHG-9: a page of 400 bytes before 7 has %d events", len(p.Events))
	}
	q.Present = false
	if p := mustRead(t, s, q); len(p.Events) != 6 {
		t.Errorf("CHG-9: as they were sent, a page of 400 bytes has %d events", len(p.Events))
	}
}

// differs says what of an event is not as it should be.
func differs(e, want room.Event) string {
	edited := func(e *room.Edited) string {
		if e == nil {
			return "not edited"
		}
		return fmt.Sprintf("edited by %d at %s", e.Seq, e.At.UTC())
	}
	switch {
	case !sameEvent(e, want):
		return fmt.Sprintf("want %+v, with %s", want, want.Data)
	case e.Target != want.Target:
		return fmt.Sprintf("want the target %d", want.Target)
	case !sameGone(e.Gone, want.Gone):
		return fmt.Sprintf("%+v is left, want %+v", e.Gone, want.Gone)
	case edited(e.Edited) != edited(want.Edited):
		return fmt.Sprintf("%s, want %s", edited(e.Edited), edited(want.Edited))
	case !slices.EqualFunc(e.Reactions, want.Reactions, func(a, b room.Reaction) bool {
		return a.Emoji == b.Emoji && a.Count == b.Count && slices.Equal(a.Users, b.Users)
	}):
		return fmt.Sprintf("the reactions %+v, want %+v", e.Reactions, want.Reactions)
	}
	return ""
}

// CHG-6: a user has an emoji on a message or has it not; counted are all, named the first.
func testReactions(t *testing.T, f Factory) {
	hs := f.pair(t)
	s, id := hs[0], room.ID("chat:react")
	fill(t, s, id, 2)
	check := func(when string, want ...room.Reaction) {
		t.Helper()
		e := present(t, hs[1], id)[0]
		if w := (room.Event{Seq: e.Seq, Mark: e.Mark, Type: e.Type, Author: e.Author, Tag: e.Tag, At: e.At, Data: []byte(`{"text":"1"}`), Reactions: want}); differs(e, w) != "" {
			t.Errorf("CHG-6: %s: %s", when, differs(e, w))
		}
	}
	mustAppend(t, s, takenBack(id, "u1", 1, "👍"))
	check("taken back, where there was none")
	mustAppend(t, s, react(id, "u1", 1, "👍"), react(id, "u2", 1, "👍"), react(id, "u1", 1, "👍"), react(id, "u1", 1, "👎"))
	check("added twice", room.Reaction{Emoji: "👍", Count: 2, Users: []string{"u1", "u2"}}, room.Reaction{Emoji: "👎", Count: 1, Users: []string{"u1"}})
	again := react(id, "u1", 1, "👍")
	mustAppend(t, s, takenBack(id, "u1", 1, "👍"), takenBack(id, "u3", 1, "👍"), takenBack(id, "u2", 1, "👎"))
	check("taken back by one", room.Reaction{Emoji: "👍", Count: 1, Users: []string{"u2"}}, room.Reaction{Emoji: "👎", Count: 1, Users: []string{"u1"}})
	mustAppend(t, s, again)
	check("added again, behind the others", room.Reaction{Emoji: "👍", Count: 2, Users: []string{"u2", "u1"}}, room.Reaction{Emoji: "👎", Count: 1, Users: []string{"u1"}})
	mustAppend(t, s, takenBack(id, "u1", 1, "👍"), again)
	check("a repeat adds nothing", room.Reaction{Emoji: "👍", Count: 1, Users: []string{"u2"}}, room.Reaction{Emoji: "👎", Count: 1, Users: []string{"u1"}})
	mustAppend(t, s, takenBack(id, "u2", 1, "👍"), react(id, "u2", 1, "👍"))
	check("the first of an emoji comes back", room.Reaction{Emoji: "👎", Count: 1, Users: []string{"u1"}}, room.Reaction{Emoji: "👍", Count: 1, Users: []string{"u2"}})
	mustAppend(t, s, takenBack(id, "u1", 1, "👎"), takenBack(id, "u2", 1, "👍"))
	check("all taken back")
	if b := f.Beside(t); b.Reactions != 0 {
		t.Errorf("CHG-6: %d rows are kept of no reaction", b.Reactions)
	}
	var batch []room.Send
	var names []string
	for i := range 2*room.MaxReactors + 3 {
		names = append(names, fmt.Sprintf("z%02d", 50-i)) // the order of names is not that of coming
		batch = append(batch, react(id, names[i], 1, "❤️"), react(id, names[i], 2, fmt.Sprint("e", i%2)))
	}
	mustAppend(t, s, batch...)
	check("more than are named", room.Reaction{Emoji: "❤️", Count: len(names), Users: names[:room.MaxReactors]})
	for as, want := range map[string][]string{
		names[3]:  names[:room.MaxReactors],
		names[20]: append(slices.Clone(names[:room.MaxReactors]), names[20]),
		"nobody":  names[:room.MaxReactors],
	} {
		got := mustRead(t, hs[1], room.Query{Room: id, Anchor: room.Around, Seq: 1, Limit: 1, Present: true, As: as}).Events[0].Reactions
		if len(got) != 1 || got[0].Count != len(names) || !slices.Equal(got[0].Users, want) {
			t.Errorf("CHG-9: %s is told of %+v, not of %v", as, got, want)
		}
	}
	mustAppend(t, s, takenBack(id, names[3], 1, "❤️"))
	check("one of the named is gone", room.Reaction{Emoji: "❤️", Count: len(names) - 1, Users: slices.Delete(slices.Clone(names), 3, 4)[:room.MaxReactors]})
	if rs := present(t, s, id)[1].Reactions; len(rs) != 2 || rs[0].Emoji != "e0" || rs[0].Count != 12 || rs[1].Count != 11 || rs[1].Users[0] != names[1] || rs[1].Users[9] != names[19] {
		t.Errorf("CHG-6: two emoji by turns are %+v", rs)
	}
	at := one(t, s, say(id, "u1", "of many emoji")).Seq
	batch = nil
	for i := range room.MaxEmojiKinds + 2 {
		batch = append(batch, react(id, "u1", at, fmt.Sprint("k", i)))
	}
	half := room.MaxEmojiKinds / 2
	mustAppend(t, s, batch[:half]...)
	for i, v := range mustAppend(t, s, append(slices.Clone(batch[half:]), react(id, "u2", at, "k0"), react(id, "u2", at, fmt.Sprint("k", half)))...).Verdicts {
		if tooMany := half+i == room.MaxEmojiKinds || half+i == room.MaxEmojiKinds+1; tooMany != refusedAs(v, room.TooManyEmoji()) || !tooMany && v.Refused != nil {
			t.Errorf("CHG-6: reaction %d is answered with %+v", half+i, v)
		}
	}
	if v := mustAppend(t, s, takenBack(id, "u3", at, "k99")).Verdicts[0]; v.Refused != nil {
		t.Errorf("CHG-6: to take back what is not there is answered with %+v", v)
	}
	one(t, s, takenBack(id, "u1", at, "k1"))
	one(t, s, react(id, "u3", at, "another in its place"))
}
