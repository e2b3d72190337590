package cluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
)

// A message is `version, kind, sender (8 bytes), body, seal (16 bytes)`; numbers are varints, texts have their length
// before them. Of what a node does not understand, a version or kind of a newer node, it takes that something happened, and asks the store.
const version = 1

type kind byte

const (
	kindHint    kind = iota + 1 // of a room: what an append did, with its events
	kindChanged                 // of a room: something else became of it
	kindBeat                    // of the cluster: numbered; the heads of the rooms that the sender appended to
	kindAccess                  // of the cluster: numbered; access was taken back or given again
	kindBye                     // of the cluster: numbered; the sender stops, and has said all it had to
	kindSaid                    // of a room or the cluster: something about a part, which is the first byte of the body

	// kindHintOfChanges is a hint of events that change messages, or were deleted, with what a hint does not say of them.
	// Nodes of before there were any read the store instead.
	kindHintOfChanges
)

// nodeID is drawn when a node starts, so it is its generation as well.
type nodeID [8]byte

const (
	headLen = 2 + len(nodeID{})
	sealLen = 16
	// hintBytes is about how many bytes of events one hint carries, and beatBytes how many bytes of heads one beat. What
	// is more is told by several.
	hintBytes = 256 << 10
	beatBytes = 128 << 10
)

// seals signs what nodes tell each other: HMAC-SHA256, cut to 16 bytes, over the cluster, the topic and the message. It may
// be used concurrently.
type seals struct {
	cluster string
	macs    sync.Pool // of *mac
}

// mac is a hash with the room to use it in.
type mac struct {
	hash.Hash
	prefix, sum []byte
}

func newSeals(key []byte, cluster string) *seals {
	key = append([]byte("roomlog bus 1 "), key...) // nothing else that the key signs is one of these
	return &seals{cluster: cluster, macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// of is the seal of a message, good until m is used again.
func (s *seals) of(m *mac, topic room.Topic, message []byte) []byte {
	m.prefix = append(append(append(append(m.prefix[:0], s.cluster...), 0), topic...), 0)
	m.Reset()
	m.Write(m.prefix)
	m.Write(message)
	m.sum = m.Sum(m.sum[:0])
	return m.sum[:sealLen]
}

// seal appends the seal of a message.
func (s *seals) seal(topic room.Topic, message []byte) []byte {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	return append(message, s.of(m, topic, message)...)
}

// open checks a message that came under a topic. ok: it is of this cluster. One of a newer version has no kind: its seal
// alone is understood, which every version has at its end.
func (s *seals) open(topic room.Topic, sealed []byte) (k kind, from nodeID, body []byte, ok bool) {
	from, ok = claimed(sealed)
	if !ok || sealed[0] < version {
		return 0, from, nil, false
	}
	message := sealed[:len(sealed)-sealLen]
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	if !hmac.Equal(sealed[len(message):], s.of(m, topic, message)) && !mutateSeal() { // mutant hint_trusted
		return 0, from, nil, false
	}
	if sealed[0] > version {
		return 0, from, nil, true
	}
	return kind(message[1]), from, message[headLen:], true
}

// claimed is who a message says that it is from, which nothing shows before it is opened.
func claimed(sealed []byte) (from nodeID, ok bool) {
	if len(sealed) < headLen+sealLen {
		return from, false
	}
	copy(from[:], sealed[2:])
	return from, true
}

func begin(k kind, from nodeID) []byte {
	return append([]byte{version, byte(k)}, from[:]...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendMark(b []byte, m room.Mark) []byte { return binary.BigEndian.AppendUint32(b, uint32(m)) }

func appendSeq(b []byte, s room.Seq) []byte { return binary.AppendUvarint(b, uint64(s)) }

// hintSize is about how many bytes a hint's body has, and not less unless marks and numbers are very large.
func hintSize(g room.Growth, events []room.Event) int {
	size := len(g.Head.Epoch) + 24
	for i := range events {
		e := &events[i]
		size += len(e.Type) + len(e.Author) + len(e.Data) + 40
	}
	return size
}

// appendHint encodes a growth with its events, which are in seq order and end at its head.
func appendHint(b []byte, g room.Growth, events []room.Event) []byte {
	b = slices.Grow(b, hintSize(g, events)+sealLen)
	b = appendText(b, string(g.Head.Epoch))
	b = appendSeq(b, g.Before)
	b = appendMark(b, g.BeforeMark)
	b = binary.AppendUvarint(b, uint64(len(events)))
	for i := range events {
		e := &events[i]
		b = appendMark(b, e.Mark)
		b = appendText(b, e.Type)
		b = appendText(b, e.Author)
		b = append(b, e.Tag[:]...)
		b = binary.AppendVarint(b, e.At.UnixMicro())
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// The least bytes of an event in a hint and of a head in a beat: no message claims more of them than it holds.
const (
	minEvent = 4 + 1 + 1 + len(room.Tag{}) + 1 + 1
	minHead  = 1 + 1 + 1 + 4
)

// readHint decodes what appendHint made of a room's growth. The data of the events lies in body.
func readHint(id room.ID, body []byte) (g room.Growth, events []room.Event, ok bool) {
	r := reader{rest: body}
	g, events = r.hint(id)
	return g, events, r.whole()
}

func (r *reader) hint(id room.ID) (g room.Growth, events []room.Event) {
	g.Head.Room = id
	g.Head.Epoch = room.Epoch(r.text())
	g.Before, g.BeforeMark = r.seq(), r.mark()
	g.Head.Seq, g.Head.Mark = g.Before, g.BeforeMark
	n := r.number()
	if n > uint64(len(r.rest)/minEvent) {
		r.broken = true
		return g, nil
	}
	events = make([]room.Event, 0, n)
	for range n {
		e := room.Event{Seq: g.Head.Seq + 1, Mark: r.mark(), Type: r.text(), Author: r.text()}
		copy(e.Tag[:], r.bytes(uint64(len(e.Tag))))
		e.At = time.UnixMicro(r.signed()).UTC()
		e.Data = r.bytes(r.number())
		g.Head.Seq, g.Head.Mark = e.Seq, e.Mark
		events = append(events, e)
	}
	return g, events
}

// beat is what a node says of itself now and then.
type beat struct {
	number uint64
	name   string
	heads  []room.Head // with Room, Epoch, Seq and Mark
}

func appendBeat(b []byte, beat beat) []byte {
	b = binary.AppendUvarint(b, beat.number)
	b = appendText(b, beat.name)
	b = binary.AppendUvarint(b, uint64(len(beat.heads)))
	for _, h := range beat.heads {
		b = appendText(b, string(h.Room))
		b = appendText(b, string(h.Epoch))
		b = appendSeq(b, h.Seq)
		b = appendMark(b, h.Mark)
	}
	return b
}

func readBeat(body []byte) (beat, bool) {
	r := reader{rest: body}
	b := beat{number: r.number(), name: r.text()}
	n := r.number()
	if n > uint64(len(r.rest)/minHead) {
		return b, false
	}
	for range n {
		if r.broken {
			return b, false
		}
		b.heads = append(b.heads, room.Head{Room: room.ID(r.text()), Epoch: room.Epoch(r.text()), Seq: r.seq(), Mark: r.mark()})
	}
	return b, r.whole()
}

// reader takes a body apart. After the first thing that is missing it gives zeros.
type reader struct {
	rest   []byte
	broken bool
}

func (r *reader) whole() bool { return !r.broken && len(r.rest) == 0 }

func (r *reader) bytes(n uint64) []byte {
	if r.broken || n > uint64(len(r.rest)) {
		r.broken = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.broken = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.broken = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() string { return string(r.bytes(r.number())) }

func (r *reader) seq() room.Seq {
	v := r.number()
	if v > uint64(room.MaxSeq) {
		r.broken = true
		return 0
	}
	return room.Seq(v)
}

func (r *reader) mark() room.Mark {
	b := r.bytes(4)
	if b == nil {
		return 0
	}
	return room.Mark(binary.BigEndian.Uint32(b))
}
