package room

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// TypeDoc is the type of an event that changes a document of its room (rule DOC-1).
const TypeDoc = "doc"

// The bounds of documents.
const (
	DefaultDoc   = "main"   // the name of a document that an event does not name
	MaxDocName   = 64       // bytes of a name
	MaxDocUpdate = 8 << 20  // bytes of one update
	DocBytes     = 32 << 20 // of a document; default, and the most that a kind may have
	DocCount     = 100      // documents of a room; default
	MostDocCount = 1000     // that a kind may have
)

// MaxDocData is the largest data of an event of the type doc: an update of MaxDocUpdate in base64, and its name.
const MaxDocData = (MaxDocUpdate+2)/3*4 + 1024

// DocPolicy is what a kind says of the documents of its rooms. The zero DocPolicy: there may be some, within the default bounds.
type DocPolicy struct {
	Off   bool // events of the type doc are refused
	Bytes int  // of one document, as it is stored; 0: DocBytes
	Count int  // of documents in a room; 0: DocCount
}

// Bounds are Bytes and Count with their defaults.
func (p DocPolicy) Bounds() (bytes, count int) {
	bytes, count = p.Bytes, p.Count
	if bytes == 0 {
		bytes = DocBytes
	}
	if count == 0 {
		count = DocCount
	}
	return bytes, count
}

// DocChange is what an event of the type doc says: an update of a document, in the format of Yjs that has no version byte (v1). Its bytes are
// not judged here.
type DocChange struct {
	Name   string
	Update []byte

	// ID is the document that the update is of, see [DocID]: it is stored only where the room has that one, which the store judges in the transaction.
	// Empty: whichever there is. No event has it.
	ID    string
	Named bool // ID was said by the author; else the update was judged by that document
}

// Replaced refuses an update whose document the room no longer has (rule DOC-13). Who named none may send it again, which is judged by what there is then.
func (c *DocChange) Replaced() *Error {
	if c.Named {
		return &Error{Code: CodeDocReplaced, Title: "The room has another document by now: this update is of one that is gone.", Field: "data/id"}
	}
	return &Error{Code: CodeUnavailable, Title: "The document was deleted while the update was judged; it was not stored. Try again.", RetryAfter: 100 * time.Millisecond}
}

// Data is the data of the event that says it, compacted.
func (c *DocChange) Data() []byte {
	name, _ := json.Marshal(c.Name) // a string always marshals
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(c.Update))+len(name)+24)
	out = append(append(out, `{"doc":`...), name...)
	out = base64.StdEncoding.AppendEncode(append(out, `,"update":"`...), c.Update)
	return append(out, `"}`...)
}

// ValidDoc reports whether a document can have this name (rule DOC-1).
func ValidDoc(name string) bool { return name != "" && len(name) <= MaxDocName && plain(name) }

// CutDocID takes id, which a send may have (rule DOC-13) and no event has, off data that is compacted. What is not of the form of such data stays as it is.
func CutDocID(data []byte) (rest []byte, id string, err *Error) {
	if !mayHave(data, `"id"`) {
		return data, "", nil
	}
	texts, ok := docTexts(data)
	id, has := texts["id"]
	if !ok || !has {
		return data, "", nil
	}
	if !ValidDoc(id) {
		return nil, "", &Error{Code: CodeBadData, Title: "The id of a document is one that the server gave it.", Field: "data/id", Limit: MaxDocName}
	}
	delete(texts, "id")
	rest, _ = json.Marshal(texts) // texts always marshal; in the order of their names
	return rest, id, nil
}

// ParseDoc reads the data of an event of the type doc. Errors: `bad_data`, with the place in Field; `message_too_large`.
func ParseDoc(data []byte) (*DocChange, *Error) {
	texts, ok := docTexts(data)
	text, has := texts["update"]
	if _, sent := texts["id"]; !ok || !has || sent {
		return nil, misformed("data", `The data of a doc event is {"doc":"main","update":"BASE64"}.`)
	}
	c := &DocChange{Name: DefaultDoc}
	if name, has := texts["doc"]; has {
		c.Name = name
	}
	if !ValidDoc(c.Name) {
		return nil, &Error{Code: CodeBadData, Title: "A document's name is 1 to 64 bytes of UTF-8 without control characters.", Field: "data/doc", Limit: MaxDocName}
	}
	if len(text) > base64.StdEncoding.EncodedLen(MaxDocUpdate) {
		return nil, DocTooLarge("data/update")
	}
	update, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(update) == 0 || strings.ContainsAny(text, "\r\n") {
		return nil, misformed("data/update", "The update is in base64, with padding and without line breaks.")
	}
	c.Update = update
	return c, nil
}

// docTexts are the members of the data, each once and with a text. Decoding into a struct would take names in any case, and the last of a
// name that comes twice, where others who read the data do neither.
func docTexts(data []byte) (texts map[string]string, ok bool) {
	in := json.NewDecoder(bytes.NewReader(data))
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	texts = make(map[string]string, 2)
	for in.More() {
		key, err := in.Token()
		name, _ := key.(string)
		if _, again := texts[name]; err != nil || again || name != "doc" && name != "update" && name != "id" {
			return nil, false
		}
		value, err := in.Token()
		text, is := value.(string)
		if err != nil || !is {
			return nil, false
		}
		texts[name] = text
	}
	_, err := in.Token() // the end, which cut data lacks
	return texts, err == nil
}

// DocOf is what a doc event does; nil: it is another event, or says nothing any more.
func (e *Event) DocOf() *DocChange {
	if e.Type != TypeDoc || e.Gone != nil {
		return nil
	}
	c, err := ParseDoc(e.Data)
	if err != nil {
		return nil
	}
	return c
}

// InLog reports whether an event is of the log layer: pages list each of those, and retention by number counts them. Those of the types state and
// doc are of layers of their own, which tell what is still true, and pages that are compacted pass over them (rules STATE-12, DOC-12).
func (e *Event) InLog() bool { return e.Type != TypeState && e.Type != TypeDoc }

// DocTooLarge refuses an update that is larger than one may be.
func DocTooLarge(field string) *Error {
	return &Error{Code: CodeMessageTooLarge, Title: "The update is larger than one may be.", Field: field, Limit: MaxDocUpdate}
}

// DocID tells a document from others that had its name: what stored its first update, as "SEQ-MARK". It stays when the database is restored, and is another
// one where the room began anew.
func DocID(seq Seq, mark Mark) string { return fmt.Sprintf("%d-%08x", seq, uint32(mark)) }

// First is the event that stored the first update of the document that c is of; zero where ID is none that was ever given.
func (c *DocChange) First() (Seq, Mark) {
	seq, mark, _ := strings.Cut(c.ID, "-")
	first, ok := parseSeq(seq)
	its, is := parseMark(mark)
	if !ok || !is {
		return 0, 0
	}
	return first, its
}

// Doc is a document as it was compacted.
type Doc struct {
	Name   string
	ID     string // see DocID
	Seq    Seq    // of the newest update in State
	Mark   Mark   // of that
	State  []byte // an update with all that the document has; nil where it was not asked for
	Stored int    // bytes of State, also where that is nil
}

// DocQuery asks for documents.
type DocQuery struct {
	Room  ID
	Names []string // whose State is wanted
	After Seq      // updates up to here are known, and wanted no more; 0: none are
	Limit int      // the most updates, at least 1
	Bytes int      // stop short of so many bytes of them, but return at least one; 0: any number
}

// Docs are the documents of a room, in one snapshot: what was compacted, as far as Through, and the events behind.
type Docs struct {
	Head    Head
	Mark    Mark    // of DocQuery.After; none where that is 0, beyond the head, or no longer known
	Through Seq     // documents are compacted as far as this; 0: never
	Docs    []Doc   // all that were compacted, in the order of their names
	Updates []Event // of the type doc, behind Through and DocQuery.After, in the order of seq: Seq, Mark, Type and Data
	More    bool    // there are more of those
}

// DocStore is a [Store] that keeps documents. What it compacts are the events of its log, so that appends have nothing else to do; those that are not
// compacted yet are never pruned. All methods may be called concurrently. Errors are those of reads: *Error, `unavailable`.
type DocStore interface {
	// Docs reads documents.
	Docs(ctx context.Context, q DocQuery) (Docs, error)

	// KeepDocs puts compacted documents in place of what there was of them, in one transaction under the room's lock. They have what the room
	// epoch had as far as to, and Through goes from from to to. false: it was not at from, or the room is another; nothing has changed.
	KeepDocs(ctx context.Context, id ID, epoch Epoch, from, to Seq, docs []Doc) (kept bool, err error)
}
