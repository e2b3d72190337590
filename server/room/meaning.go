package room

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// The bounds of what events of our types hold.
const (
	MaxEmoji    = 64 // bytes
	MaxMentions = 50 // users that a message names

	MaxEmojiKinds = 20 // different emoji that a message has
)

// Mean reads what a send does besides being stored, from its type and its data, which is compacted: it sets Change, Member,
// State, Doc and Mentions, whatever they were; of a State that there was the terms stay (If, Seq, Keys, Bytes), and of a Doc the document that it is of. Who may do it is not judged: of a Change, Others, Own and Within stay as nobody's.
// Data of another form is `bad_data`, with the place in Field (`data/target`); the error repeats nothing of it.
func (s *Send) Mean() error {
	terms, of := s.State, s.Doc
	s.Change, s.Member, s.State, s.Doc, s.Mentions = nil, nil, nil, nil, nil
	var err *Error
	switch s.Type {
	case TypeMessage:
		s.Mentions, err = mentions(s.Data, "data")
	case TypeEdit, TypeDelete, TypeReaction:
		s.Change, err = parseChange(s.Type, s.Data)
	case TypeMember:
		s.Member, err = parseMember(s.Data)
	case TypeState:
		if s.State, err = parseState(s.Data); err == nil && terms != nil {
			s.State.If, s.State.Seq, s.State.Keys, s.State.Bytes = terms.If, terms.Seq, terms.Keys, terms.Bytes
		}
	case TypeDoc:
		if s.Doc, err = ParseDoc(s.Data); err == nil && of != nil && (of.Name == "" || of.Name == s.Doc.Name) {
			s.Doc.ID, s.Doc.Named = of.ID, of.Named
		}
	case TypeErase:
		err = &Error{Code: CodeForbidden, Title: "An event of this type is the server's to store, when a user's data is erased.", Field: "type"}
	}
	if err != nil {
		return err
	}
	return nil
}

// fields are those of an object, by their exact names: encoding/json would take `Target` for `target`. Of a name that comes
// twice the last one counts.
type fields map[string]json.RawMessage

func objectOf(data []byte, form string) (fields, *Error) {
	var f fields
	if json.Unmarshal(data, &f) != nil || f == nil {
		return nil, misformed("data", "The data of this event is an object: "+form)
	}
	return f, nil
}

func misformed(field, title string) *Error {
	return &Error{Code: CodeBadData, Title: title, Field: field}
}

// textOf is a value that is a text; false: it is none.
func textOf(raw json.RawMessage) (string, bool) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// The forms of data, as refusals tell them.
var forms = map[string]string{
	TypeEdit:     `{"target":412,"data":…}.`,
	TypeDelete:   `{"target":412}.`,
	TypeReaction: `{"target":412,"emoji":"👍"}.`,
}

func parseChange(typ string, data []byte) (*Change, *Error) {
	f, err := objectOf(data, forms[typ])
	if err != nil {
		return nil, err
	}
	c := new(Change)
	if err := c.parseTarget(f["target"]); err != nil {
		return nil, err
	}
	switch typ {
	case TypeEdit:
		if c.Data = f["data"]; c.Data == nil {
			return nil, misformed("data/data", "An edit needs the new data of the message.")
		}
		if _, err := mentions(c.Data, "data/data"); err != nil {
			return nil, err
		}
	case TypeDelete:
		if _, is := textOf(f["reason"]); f["reason"] != nil && !is {
			return nil, misformed("data/reason", "The reason of a delete is a text.")
		}
	case TypeReaction:
		return c, c.parseReaction(f)
	}
	return c, nil
}

// parseTarget takes a seq, or as text the tag of a message that the author sent.
func (c *Change) parseTarget(raw json.RawMessage) *Error {
	tag, isText := textOf(raw)
	if isText {
		var err error
		if c.TargetTag, err = ParseTag(tag); err == nil {
			return nil
		}
	} else if seq, err := strconv.ParseInt(string(raw), 10, 64); err == nil && seq >= 1 && seq <= MaxSeq {
		c.Target = seq
		return nil
	}
	return misformed("data/target", "The target is the seq of a message, or the tag that its author sent it with, as text.")
}

func (c *Change) parseReaction(f fields) *Error {
	emoji, is := textOf(f["emoji"])
	if !is || emoji == "" || len(emoji) > MaxEmoji || !plain(emoji) {
		return &Error{Code: CodeBadData, Title: "An emoji is a text of 1 to 64 bytes without control characters.", Field: "data/emoji", Limit: MaxEmoji}
	}
	c.Emoji = emoji
	switch string(f["remove"]) {
	case "true":
		c.Remove = true
	case "", "false":
	default:
		return misformed("data/remove", "A reaction is taken back by remove: true.")
	}
	return nil
}

func parseMember(data []byte) (*MemberChange, *Error) {
	f, err := objectOf(data, `{"user":"u2","role":"member"}.`)
	if err != nil {
		return nil, err
	}
	user, _ := textOf(f["user"])
	if !ValidUser(user) {
		return nil, misformed("data/user", "A member is the name of a user.")
	}
	role, is := textOf(f["role"])
	if !(is && ValidKind(role)) && string(f["role"]) != "null" {
		return nil, misformed("data/role", "A role is a-z, 0-9, _ and -, begins with a letter and has at most 32 characters; null ends the membership.")
	}
	return &MemberChange{User: user, Role: role}, nil
}

// MemberChange is what an event says of who belongs to its room: one of the type member, or [TypeErase], with which a membership ends. It is
// read as [Send.Mean] reads it. false: it says nothing.
func (e *Event) MemberChange() (MemberChange, bool) {
	switch e.Type {
	case TypeMember:
		if m, err := parseMember(e.Data); err == nil {
			return *m, true
		}
	case TypeErase:
		if f, err := objectOf(e.Data, ""); err == nil {
			user, is := textOf(f["user"])
			return MemberChange{User: user}, is
		}
	}
	return MemberChange{}, false
}

// mentions are the users whom the data of a message names, each once: its `mentions`, where it is an object that has them. at
// is where the data stands.
func mentions(data []byte, at string) ([]string, *Error) {
	if !mayHave(data, `"mentions"`) {
		return nil, nil
	}
	var f fields
	if json.Unmarshal(data, &f) != nil || f["mentions"] == nil || string(f["mentions"]) == "null" {
		return nil, nil
	}
	refused := &Error{
		Code: CodeBadData, Title: "The mentions of a message are a list of at most 50 users.", Field: at + "/mentions", Limit: MaxMentions,
	}
	var list []*string // a null is nobody
	if json.Unmarshal(f["mentions"], &list) != nil || len(list) > MaxMentions {
		return nil, refused
	}
	var named []string
	seen := make(map[string]bool, len(list))
	for _, user := range list {
		if user == nil || !ValidUser(*user) {
			return nil, refused
		}
		if !seen[*user] {
			seen[*user] = true
			named = append(named, *user)
		}
	}
	return named, nil
}

// mayHave reports whether a JSON text may have a key, which is given with its quotes, without reading it: most messages have
// none. An escape may write it in another way.
func mayHave(data []byte, key string) bool {
	return bytes.Contains(data, []byte(key)) || bytes.Contains(data, []byte(`\u00`))
}

// CheckChange judges the new data of an edit by the schema of messages, whose place it takes (rule DATA-6).
func (p Policy) CheckChange(c *Change) error {
	schema := p.Types[TypeMessage]
	if c.Data == nil || schema == nil {
		return nil
	}
	err := schema.Check(c.Data)
	if err == nil {
		return nil
	}
	within := *err
	within.Field = "data/data" + strings.TrimPrefix(err.Field, "data")
	return &within
}

// Empower says who may do what a Change does: moderates, that the author may change messages of others in this room as far
// as the kind lets anybody.
func (c Changes) Empower(typ string, change *Change, moderates bool) error {
	by := c.Edit
	switch typ {
	case TypeReaction:
		if c.NoReactions {
			return &Error{Code: CodeForbidden, Title: "Rooms of this kind take no reactions.", Field: "type"}
		}
		return nil
	case TypeDelete:
		by = c.Delete
	}
	change.Others = moderates && by != ByNobody
	change.Own = change.Others || by == ByAuthors
	change.Within = c.Within
	if change.Others {
		change.Within = 0
	}
	return nil
}
