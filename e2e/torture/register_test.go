package torture

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// entry is what is known of a key (STATE-5). A key that nothing is known of is the zero entry.
type entry struct {
	Value   rawText `json:"value"`
	Deleted bool    `json:"deleted"`
	Seq     int64   `json:"seq"`
}

// rawText is JSON as it was written. "" and null are no value.
type rawText string

func (r *rawText) UnmarshalJSON(text []byte) error {
	if *r = rawText(text); string(text) == "null" {
		*r = ""
	}
	return nil
}

// setting is one send that sets keys, as its client knows it: in however many attempts, by whichever nodes.
type setting struct {
	Room, Tag string
	Keys      map[string]rawText // "": it is deleted
	If        int64              // if_seq; -1: it does not say
	Call      int64              // of the first attempt
	Return    int64              // of the first answer that it is stored; 0: there was none
	Seq       int64              // by that answer
	Lost      []lostRace         // answers of conflict
}

// lostRace is one attempt that was refused as a conflict.
type lostRace struct {
	Call, Return int64
	Current      map[string]entry
}

// lookup is a map that a client was given by a node.
type lookup struct {
	Room, Node   string
	Call, Return int64
	Seq          int64
	Map          map[string]entry
}

// storedSet is an event of the type state, as it is in the database in the end.
type storedSet struct {
	seq  int64
	tag  string
	keys map[string]rawText
}

// registers are the rooms' maps as their clients saw them: what they sent and were answered, whatever became of it.
type registers struct {
	settings []*setting
	lookups  []lookup
}

// mapAt is what events that are in order of their seqs make of a map, up to a seq. Deleted keys stay, without a value.
func mapAt(events []storedSet, seq int64) map[string]entry {
	keys := make(map[string]entry)
	for _, e := range events {
		if e.seq > seq {
			break
		}
		for key, value := range e.keys {
			keys[key] = entry{Value: value, Deleted: value == "", Seq: e.seq}
		}
	}
	return keys
}

// shown is a map without what was deleted, as text to compare with.
func shown(keys map[string]entry) string {
	text := ""
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if e := keys[key]; e.Value != "" {
			text += fmt.Sprintf("%s=%s@%d ", key, e.Value, e.Seq)
		}
	}
	return text
}

// judge holds what clients saw of a room against the events that are stored: everything that was answered is so, each map is that of its seq,
// and for each key there is one order of all that was done, in which what was over before another thing began comes before it (I15, STATE-3).
// A send without an answer happened at any time, or never, as the events say.
func (r *registers) judge(room string, events []storedSet) (problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, "I15: "+fmt.Sprintf(format, args...)) }
	seqs := make(map[string]int64)
	for _, e := range events {
		if seqs[e.tag] != 0 {
			problem("a send is stored as %d and as %d of %s", seqs[e.tag], e.seq, room)
		}
		seqs[e.tag] = e.seq
	}
	var ops []porcupine.Operation
	add := func(call, end int64, op registerOp) {
		ops = append(ops, porcupine.Operation{Input: op, Call: call, Return: end})
	}
	for _, s := range r.settings {
		if s.Room != room {
			continue
		}
		seq, end := seqs[s.Tag], s.Return
		delete(seqs, s.Tag)
		if end == 0 {
			end = math.MaxInt64
		} else if seq != s.Seq {
			problem("what was acked as %d of %s is stored as %d", s.Seq, room, seq)
			continue
		}
		for key, value := range s.Keys {
			if seq != 0 {
				add(s.Call, end, registerOp{kind: opSet, key: key, value: value, seq: seq, ifSeq: s.If})
			}
			for _, lost := range s.Lost {
				op := registerOp{kind: opAsWas, key: key, ifSeq: s.If, own: seq}
				if e, is := lost.Current[key]; is {
					op.kind, op.value, op.seq = opLost, e.Value, e.Seq
				}
				add(lost.Call, lost.Return, op)
			}
		}
	}
	for tag, seq := range seqs {
		problem("%d of %s is stored and nobody sent it, with the tag %s", seq, room, tag)
	}
	keys := mapAt(events, math.MaxInt64)
	for _, l := range r.lookups {
		if l.Room != room {
			continue
		}
		if want := shown(mapAt(events, l.Seq)); shown(l.Map) != want {
			problem("node %s gave as the map of %s at %d %s, which was %s", l.Node, room, l.Seq, shown(l.Map), want)
		}
		for key := range keys {
			add(l.Call, l.Return, registerOp{kind: opRead, key: key, value: l.Map[key].Value, seq: l.Map[key].Seq})
		}
	}
	if got := porcupine.CheckOperationsTimeout(registerModel, ops, time.Minute); got != porcupine.Ok {
		problem("what clients of %s were answered is no order of registers: %v", room, got)
	}
	return problems
}

// registerOp is what an operation did to one key, or saw of it.
type registerOp struct {
	kind  registerKind
	key   string
	value rawText // that was set, or seen; "": none
	seq   int64   // of that; where there is no value, of a set or a lost race alone
	ifSeq int64
	own   int64 // of a lost race: as what its send is stored all the same, by another attempt; 0: it is not
}

type registerKind int

const (
	opSet   registerKind = iota
	opLost               // a conflict, in which this key was in the way
	opAsWas              // a conflict, in which it was not
	opRead
)

type register struct {
	value rawText
	seq   int64
}

// refuses says whether a key is in the way of a compare-and-set.
func (r register) refuses(ifSeq int64) bool {
	return ifSeq == 0 && r.value != "" || ifSeq > 0 && r.seq > ifSeq
}

var registerModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		byKey := make(map[string][]porcupine.Operation)
		for _, op := range all {
			key := op.Input.(registerOp).key
			byKey[key] = append(byKey[key], op)
		}
		return slices.Collect(maps.Values(byKey))
	},
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		r, op := state.(register), input.(registerOp)
		switch op.kind {
		case opSet:
			return !r.refuses(op.ifSeq) && op.seq > r.seq, register{op.value, op.seq}
		case opLost: // a send that is stored already is answered as such (STATE-4)
			return r.refuses(op.ifSeq) && r == register{op.value, op.seq} && (op.own == 0 || op.own > r.seq), r
		case opAsWas:
			return !r.refuses(op.ifSeq) && (op.own == 0 || op.own > r.seq), r
		default:
			return r.value == op.value && (op.value == "" || r.seq == op.seq), r
		}
	},
	Equal: func(a, b any) bool { return a == b },
}
