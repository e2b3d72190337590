package room

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"
)

// Stream is a message that grows: what a store keeps of it beside the log while it is open (rule PART-4).
type Stream struct {
	Room   ID
	Author string
	Tag    Tag    // of the message
	Seq    Seq    // of the message; 0: it is not known to be stored
	Base   int    // bytes of the message's data as it was stored
	Text   string // what parts brought and is kept; not of an answer that says so
	Over   bool   // it takes no parts any more: whoever said so is about to store how it ended
}

// Piece is text that follows what is kept of a stream.
type Piece struct {
	Room ID
	Seq  Seq
	From int    // bytes that have to be kept before; else nothing is done
	Text string // may be empty: then only the lease is renewed
}

// Kept is what is kept of a stream after a piece.
type Kept struct {
	Found bool // there is such a stream
	Done  bool // the piece is kept: it was From bytes, and the stream is not over
	Over  bool
	Bytes int // kept in all
}

// Streams is a [Store] that keeps messages that stream, for all nodes that share it. Leases are by its own clock. All methods may be
// called concurrently and, where they were not answered, again. Errors are those of [Store.Append].
type Streams interface {
	// BeginStream says that a message is about to be stored that streams, before it is: so that one whose node dies in between is
	// found. Where the author has one of this tag in the room, only its lease is renewed. Of s, Room, Author, Tag and Base count.
	BeginStream(ctx context.Context, s Stream, lease time.Duration) error
	// BindStream looks the message of a stream up by its tag, once it is stored, and opens the stream. false: the stream is
	// forgotten, since there is no such message, or it is deleted, or an event of the author's with the tag [Tag.End] says how it ended.
	BindStream(ctx context.Context, id ID, author string, tag Tag, lease time.Duration) (Stream, bool, error)
	// FindStreams gives the open streams of rooms, with their texts, in no order. seq not 0: only the one of that message.
	FindStreams(ctx context.Context, ids []ID, seq Seq) ([]Stream, error)
	// KeepStreams keeps pieces, of each stream one at most, and renews the leases of those that are Done, in one transaction; it answers in the order asked.
	KeepStreams(ctx context.Context, pieces []Piece, lease time.Duration) ([]Kept, error)
	// CloseStream has a stream take no more pieces, and says what it has; again, where that was done before. false: there is none.
	CloseStream(ctx context.Context, id ID, seq Seq, lease time.Duration) (Stream, bool, error)
	// EndStream forgets a stream.
	EndStream(ctx context.Context, id ID, author string, tag Tag) error
	// OverdueStreams closes streams whose lease has ended and gives them a new one, limit at most, and says which: no two calls the
	// same at a time. A stream of a room that was deleted is forgotten.
	OverdueStreams(ctx context.Context, limit int, lease time.Duration) ([]Stream, error)
}

// End is the tag of the edit by which a message of this tag ends that streams: the same one, whoever stores it, so that it is
// stored once.
func (t Tag) End() Tag {
	sum := sha256.Sum256(append([]byte("roomlog: the end of a stream\x00"), t[:]...))
	end := Tag(sum[:16])
	end[6], end[8] = end[6]&0x0f|0x80, end[8]&0x3f|0x80 // RFC 9562, version 8
	return end
}

// BeginText makes of data, which is compacted, that of a message that streams (rule PART-1).
func BeginText(data []byte) ([]byte, error) {
	f, err := objectOf(data, `{"text":""}.`)
	if err != nil {
		return nil, err
	}
	if f["streaming"] != nil {
		return nil, misformed("data/streaming", "The server says that a message streams, and when it has ended.")
	}
	if _, is := textOf(f["text"]); f["text"] != nil && !is {
		return nil, misformed("data/text", "The text of a message that streams is a text.")
	}
	out := append(make([]byte, 0, len(data)+len(`,"streaming":true`)), data[:len(data)-1]...)
	if len(f) > 0 {
		out = append(out, ',')
	}
	return append(out, `"streaming":true}`...), nil
}

// EndText makes of the data of a message that streams what it ends with: its text goes on with what parts brought, and
// nothing says that it streams. final, where it is not nil, takes the place of the data, and has the whole text unless it has one of its own.
// Both are compacted. aborted is said where it is true (rules PART-5 and PART-6).
func EndText(data, final []byte, parts string, aborted bool) ([]byte, error) {
	f, err := objectOf(data, `{"text":""}.`)
	if err != nil {
		return nil, err
	}
	text, _ := textOf(f["text"])
	text += parts
	keepsText := false
	if final != nil {
		own, err := objectOf(final, `{"text":"…"}.`)
		if err != nil {
			return nil, err
		}
		data, keepsText = final, own["text"] != nil
	}
	members, failed := membersOf(data)
	if failed != nil {
		return nil, misformed("data", "The data of a message that streams is an object.")
	}
	out, placed := []byte{'{'}, keepsText
	put := func(key string, value []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted(key)...), ':'), value...)
	}
	for _, m := range members {
		switch {
		case m.key == "streaming" || m.key == "aborted" && aborted:
		case m.key == "text" && !keepsText:
			if !placed {
				put(m.key, quoted(text))
			}
			placed = true
		default:
			put(m.key, m.value)
		}
	}
	if !placed {
		put("text", quoted(text))
	}
	if aborted {
		put("aborted", []byte("true"))
	}
	return append(out, '}'), nil
}

type member struct {
	key   string
	value json.RawMessage
}

// membersOf are those of an object, in their order.
func membersOf(data []byte) (list []member, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: key.(string)} // of an object it is nothing else
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// quoted is a text as JSON.
func quoted(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text always encodes, into memory
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// TextSize is how many bytes a text takes within JSON.
func TextSize(s string) int { return len(quoted(s)) - 2 }
