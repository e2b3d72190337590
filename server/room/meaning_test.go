package room

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestMeanReadsWhatEventsDo(t *testing.T) { // CHG-1, CHG-6, CHG-11
	tag, err := ParseTag("0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e")
	if err != nil {
		t.Fatal(err)
	}
	family := "👨‍👩‍👧‍👦" // joiners are no control characters
	for _, c := range []struct {
		typ, data string
		want      Send
	}{
		{"edit", `{"target":412,"data":{"text":"b"}}`, Send{Change: &Change{Target: 412, Data: []byte(`{"text":"b"}`)}}},
		{"edit", `{"data":null,"target":"0192F0C1-7D1A-7B8E-9A53-0F2B6A4C1D2E"}`, Send{Change: &Change{TargetTag: tag, Data: []byte(`null`)}}},
		{"edit", `{"target":1,"Target":2,"data":1,"more":[]}`, Send{Change: &Change{Target: 1, Data: []byte(`1`)}}},
		{"delete", `{"target":9007199254740991}`, Send{Change: &Change{Target: MaxSeq}}},
		{"delete", `{"target":1,"reason":"spam"}`, Send{Change: &Change{Target: 1}}},
		{"reaction", `{"target":1,"emoji":"` + family + `"}`, Send{Change: &Change{Target: 1, Emoji: family}}},
		{"reaction", `{"target":1,"emoji":"+1","remove":true}`, Send{Change: &Change{Target: 1, Emoji: "+1", Remove: true}}},
		{"reaction", `{"target":1,"emoji":"+1","remove":false}`, Send{Change: &Change{Target: 1, Emoji: "+1"}}},
		{"member", `{"user":"u2","role":"member"}`, Send{Member: &MemberChange{User: "u2", Role: "member"}}},
		{"member", `{"user":"u2","role":null}`, Send{Member: &MemberChange{User: "u2"}}},
		{"message", `{"text":"hi"}`, Send{}},
		{"message", `{"mentions":["u2","u3","u2"]}`, Send{Mentions: []string{"u2", "u3"}}},
		{"message", `{"\u006dentions":["u2"]}`, Send{Mentions: []string{"u2"}}},
		{"message", `{"mentions":null}`, Send{}},
		{"message", `{"Mentions":["u2"]}`, Send{}},
		{"message", `["mentions"]`, Send{}},
		{"message", `{"a":{"mentions":1}}`, Send{}},
		{"game.move", `{"target":0,"mentions":1}`, Send{}},
	} {
		s := Send{Type: c.typ, Data: []byte(c.data), Change: &Change{Emoji: "old"}, Member: &MemberChange{}, Mentions: []string{"old"}}
		if err := s.Mean(); err != nil {
			t.Errorf("%s %s: %v", c.typ, c.data, err)
			continue
		}
		c.want.Type, c.want.Data = s.Type, s.Data
		if !reflect.DeepEqual(s, c.want) {
			t.Errorf("%s %s: %+v %+v %q", c.typ, c.data, s.Change, s.Member, s.Mentions)
		}
	}
}

func TestMeanRefuses(t *testing.T) { // CHG-1, CHG-6, CHG-11
	many := `["u0"` + strings.Repeat(`,"u0"`, MaxMentions) + `]`
	for _, c := range []struct{ typ, data, field string }{
		{"edit", `1`, "data"},
		{"edit", `null`, "data"},
		{"delete", `[412]`, "data"},
		{"reaction", `"x"`, "data"},
		{"member", `[]`, "data"},
		{"edit", `{"data":1}`, "data/target"},
		{"delete", `{}`, "data/target"},
		{"delete", `{"Target":1}`, "data/target"},
		{"delete", `{"target":0}`, "data/target"},
		{"delete", `{"target":-1}`, "data/target"},
		{"delete", `{"target":1.0}`, "data/target"},
		{"delete", `{"target":1e3}`, "data/target"},
		{"delete", `{"target":9007199254740992}`, "data/target"},
		{"delete", `{"target":null}`, "data/target"},
		{"delete", `{"target":true}`, "data/target"},
		{"delete", `{"target":{}}`, "data/target"},
		{"delete", `{"target":"412"}`, "data/target"},
		{"delete", `{"target":"00000000-0000-0000-0000-000000000000"}`, "data/target"},
		{"delete", `{"target":1,"target":"x"}`, "data/target"},
		{"delete", `{"target":1,"reason":1}`, "data/reason"},
		{"delete", `{"target":1,"reason":null}`, "data/reason"},
		{"edit", `{"target":1}`, "data/data"},
		{"edit", `{"target":1,"data":{"mentions":5}}`, "data/data/mentions"},
		{"reaction", `{"target":1}`, "data/emoji"},
		{"reaction", `{"target":1,"emoji":""}`, "data/emoji"},
		{"reaction", `{"target":1,"emoji":7}`, "data/emoji"},
		{"reaction", `{"target":1,"emoji":"a\nb"}`, "data/emoji"},
		{"reaction", `{"target":1,"emoji":"\u0085"}`, "data/emoji"},
		{"reaction", `{"target":1,"emoji":"\ud83d"}`, "data/emoji"}, // half of a pair
		{"reaction", `{"target":1,"emoji":"` + strings.Repeat("é", 33) + `"}`, "data/emoji"},
		{"reaction", `{"target":1,"emoji":"x","remove":1}`, "data/remove"},
		{"reaction", `{"target":1,"emoji":"x","remove":null}`, "data/remove"},
		{"member", `{"role":"member"}`, "data/user"},
		{"member", `{"user":"","role":"member"}`, "data/user"},
		{"member", `{"user":"service:x","role":"member"}`, "data/user"},
		{"member", `{"user":"..","role":"member"}`, "data/user"},
		{"member", `{"user":"u2"}`, "data/role"},
		{"member", `{"user":"u2","role":""}`, "data/role"},
		{"member", `{"user":"u2","role":"The Boss"}`, "data/role"},
		{"message", `{"mentions":5}`, "data/mentions"},
		{"message", `{"mentions":"u2"}`, "data/mentions"},
		{"message", `{"mentions":[1]}`, "data/mentions"},
		{"message", `{"mentions":[null]}`, "data/mentions"},
		{"message", `{"mentions":[""]}`, "data/mentions"},
		{"message", `{"mentions":["` + strings.Repeat("u", 129) + `"]}`, "data/mentions"},
		{"message", `{"mentions":` + many + `}`, "data/mentions"},
	} {
		s := Send{Type: c.typ, Data: []byte(c.data)}
		err := s.Mean()
		if e := AsError(err); err == nil || e.Code != CodeBadData || e.Field != c.field || e.Title == "" {
			t.Errorf("%s %s: %v, want bad_data at %s", c.typ, c.data, err, c.field)
		}
	}
}

// Whatever the data is: what is read of it is within its bounds, is what a decoder of any JSON finds there, and nothing that is
// refused leaves anything behind.
func FuzzMean(f *testing.F) {
	for _, seed := range []string{
		`{"target":412,"data":{"text":"b"}}`, `{"target":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e","emoji":"👍","remove":true}`,
		`{"user":"u2","role":null}`, `{"mentions":["u2","\ud800"]}`, `{"target":1,"target":[[["mentions"]]]}`, `{"\u0074arget":1}`,
	} {
		for kind := range uint8(5) {
			f.Add(kind, []byte(seed))
		}
	}
	types := []string{TypeMessage, TypeEdit, TypeDelete, TypeReaction, TypeMember}
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		data, err := CompactData(raw, MaxData)
		if err != nil {
			return
		}
		s := Send{Type: types[int(kind)%len(types)], Data: bytes.Clone(data)}
		err = s.Mean()
		if !bytes.Equal(s.Data, data) {
			t.Fatalf("%s was changed to %s", data, s.Data)
		}
		if err != nil {
			if e := AsError(err); e.Code != CodeBadData || !strings.HasPrefix(e.Field, "data") {
				t.Fatalf("%s: %v", data, err)
			}
			return
		}
		if (s.Change != nil) != slices.Contains(types[1:4], s.Type) || (s.Member != nil) != (s.Type == TypeMember) {
			t.Fatalf("%s %s means %+v %+v", s.Type, data, s.Change, s.Member)
		}
		if c := s.Change; c != nil {
			checkChange(t, s, c)
		}
		if m := s.Member; m != nil && (!ValidUser(m.User) || m.Role != "" && !ValidKind(m.Role)) {
			t.Fatalf("%s means %+v", data, m)
		}
		for i, user := range s.Mentions {
			if i >= MaxMentions || !ValidUser(user) || slices.Contains(s.Mentions[:i], user) {
				t.Fatalf("%s mentions %q", data, s.Mentions)
			}
		}
	})
}

func checkChange(t *testing.T, s Send, c *Change) {
	t.Helper()
	if (c.Target == 0) == (c.TargetTag == Tag{}) || c.Target < 0 || c.Target > MaxSeq || c.Own || c.Others || c.Within != 0 {
		t.Fatalf("%s targets %d, %s", s.Data, c.Target, c.TargetTag)
	}
	if (c.Data != nil) != (s.Type == TypeEdit) || c.Data != nil && !json.Valid(c.Data) || !bytes.Contains(s.Data, c.Data) {
		t.Fatalf("%s edits to %q", s.Data, c.Data)
	}
	if (c.Emoji != "") != (s.Type == TypeReaction) || len(c.Emoji) > MaxEmoji || !utf8.ValidString(c.Emoji) || strings.ContainsFunc(c.Emoji, unicode.IsControl) {
		t.Fatalf("%s reacts with %q", s.Data, c.Emoji)
	}
}

// judge is a schema that refuses everything, at a place.
type judge string

func (j judge) Check([]byte) *Error { return &Error{Code: CodeBadData, Field: string(j)} }

func TestEditsMeetTheSchemaOfMessages(t *testing.T) { // DATA-6
	c := &Change{Data: []byte(`{"text":7}`)}
	for _, at := range []struct{ said, want string }{{"data/text", "data/data/text"}, {"data", "data/data"}} {
		p := Policy{Types: map[string]Schema{TypeMessage: judge(at.said), TypeEdit: nil}}
		if err := AsError(p.CheckChange(c)); err.Code != CodeBadData || err.Field != at.want {
			t.Errorf("%+v, want it at %s", err, at.want)
		}
		if err := p.CheckChange(&Change{Target: 1}); err != nil {
			t.Error(err)
		}
	}
	if err := (Policy{}).CheckChange(c); err != nil {
		t.Error(err)
	}
}

func TestWhoMayChange(t *testing.T) { // CHG-4
	day := 24 * time.Hour
	for _, c := range []struct {
		changes     Changes
		typ         string
		moderates   bool
		own, others bool
		within      time.Duration
	}{
		{Changes{}, TypeEdit, false, true, false, 0},
		{Changes{}, TypeDelete, true, true, true, 0},
		{Changes{Within: day}, TypeEdit, false, true, false, day},
		{Changes{Within: day}, TypeDelete, true, true, true, 0}, // moderators at any time
		{Changes{Edit: ByModerators}, TypeEdit, false, false, false, 0},
		{Changes{Edit: ByModerators}, TypeEdit, true, true, true, 0},
		{Changes{Edit: ByModerators}, TypeDelete, false, true, false, 0},
		{Changes{Delete: ByNobody}, TypeDelete, true, false, false, 0},
		{Changes{Delete: ByNobody}, TypeDelete, false, false, false, 0},
		{Changes{Delete: ByNobody}, TypeEdit, false, true, false, 0},
	} {
		got := &Change{Target: 1}
		if err := c.changes.Empower(c.typ, got, c.moderates); err != nil {
			t.Fatal(err)
		}
		if got.Own != c.own || got.Others != c.others || got.Within != c.within {
			t.Errorf("%+v %s, moderates %v: %+v", c.changes, c.typ, c.moderates, got)
		}
	}
	if err := (Changes{}).Empower(TypeReaction, &Change{}, false); err != nil {
		t.Error(err)
	}
	if err := AsError(Changes{NoReactions: true}.Empower(TypeReaction, &Change{}, true)); err.Code != CodeForbidden || err.Field != "type" {
		t.Error(err)
	}
}

// A delete takes the data of the message and of its edits, and of nothing else.
func TestRedact(t *testing.T) { // CHG-7
	at := time.Unix(7, 0)
	events := make([]Event, 6)
	for i := range events {
		events[i] = Event{Seq: Seq(11 + i), Type: TypeMessage, Author: "ann", Data: []byte(fmt.Sprintf(`"m%d"`, i)), Edited: &Edited{}}
	}
	events[1].Type, events[1].Target = TypeEdit, 11
	events[2].Type, events[2].Target = TypeReaction, 11
	events[3].Type, events[3].Target = TypeEdit, 99
	events[4].Type, events[4].Target, events[4].Author, events[4].At = TypeDelete, 11, "bob", at
	before := slices.Clone(events)
	got := RedactAll(events)
	if !reflect.DeepEqual(events, before) {
		t.Error("the events themselves were changed")
	}
	want := Gone{Seq: 15, By: "bob", At: at}
	for i := range got {
		deleted := i < 2
		if deleted && (string(got[i].Data) != "null" || got[i].Gone == nil || *got[i].Gone != want || got[i].Edited != nil || got[i].Target != events[i].Target) {
			t.Errorf("event %d: %+v", got[i].Seq, got[i])
		}
		if !deleted && !reflect.DeepEqual(got[i], events[i]) {
			t.Errorf("event %d: %+v", got[i].Seq, got[i])
		}
	}
	if again := RedactAll(got); &again[0] != &got[0] {
		t.Error("copied for nothing")
	}
	old := []Event{{Seq: 1, Type: TypeMessage}, {Seq: 2, Type: TypeDelete, Data: []byte(`{"target":1}`)}} // of before there were changes
	if kept := RedactAll(old); kept[0].Gone != nil {
		t.Error("an event without a target deletes nothing")
	}
}
