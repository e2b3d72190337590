package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"
)

// yjsReference is npm yjs, in one process: it makes random documents, and says what updates make of one (server/yjs/testdata/reference.mjs).
type yjsReference struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startYjs() (*yjsReference, error) {
	r := &yjsReference{cmd: exec.Command("node", "../../server/yjs/testdata/reference.mjs")}
	r.cmd.Stderr = os.Stderr
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.in, r.out = in, bufio.NewReaderSize(out, 1<<20)
	return r, r.cmd.Start()
}

func (r *yjsReference) ask(question, answer any) error {
	if _, err := r.in.Write(append(jsonText(question), '\n')); err != nil {
		return err
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("npm yjs does not answer (is it there? npm ci): %w", err)
	}
	return json.Unmarshal(line, answer)
}

// unlike says of each of the documents, which are lists of updates, where npm yjs finds it another one than that of all the updates; "": nowhere.
func (r *yjsReference) unlike(updates [][]byte, docs [][][]byte) (faults []string, err error) {
	err = r.ask(map[string]any{"same": map[string]any{"updates": updates, "docs": docs}}, &faults)
	if err == nil && len(faults) != len(docs) {
		err = fmt.Errorf("npm yjs says something of %d documents, not of %d", len(faults), len(docs))
	}
	return faults, err
}

func (r *yjsReference) close() error { return errors.Join(r.in.Close(), r.cmd.Wait()) }

// sheet is one document: the updates of it, as its writers made them, in disorder, and with what its mode says (repeated, overlapping, with
// gaps that nothing fills).
type sheet struct {
	name, mode string
	updates    [][]byte

	mu    sync.Mutex
	begun map[int]bool // the updates that somebody began to send; each is answered in the end
}

const (
	randomSheets = 50
	typedUpdates = 700
)

// writeSheets has npm yjs make documents: small ones, as many as are asked for, and one long text, the first updates of what is typed.
func writeSheets(r *yjsReference, rng *rand.Rand, small, typed int) (sheets []*sheet, err error) {
	for i := range small {
		var made struct {
			Mode    string
			Updates [][]byte
		}
		if err := r.ask(map[string]int{"make": 1 + rng.IntN(1<<30)}, &made); err != nil {
			return nil, err
		}
		sheets = append(sheets, &sheet{name: fmt.Sprintf("sheet-%d", i), mode: made.Mode, updates: made.Updates, begun: make(map[int]bool)})
	}
	long := &sheet{name: "long", mode: "typed", begun: make(map[int]bool)}
	if err := r.ask(map[string]int{"typed": 1 + rng.IntN(1<<30)}, &long.updates); err != nil {
		return nil, err
	}
	long.updates = long.updates[:min(len(long.updates), typed)]
	return append(sheets, long), nil
}

// written are the updates of a document that somebody sent.
func (s *sheet) written() [][]byte {
	updates := [][]byte{} // in JSON a list, however few
	for i, update := range s.updates {
		if s.begun[i] {
			updates = append(updates, update)
		}
	}
	return updates
}

// card is an update that a pen has to send.
type card struct {
	of  *sheet
	n   int // of its updates
	tag string
}

// pen sends updates in disorder, each by another node than the one before; some of them again, with the same tag and with another.
type pen struct {
	name, token, room string
	number            int // below pens
	rec               *recorder
	rng               *rand.Rand
	moves             func() door
	deck              []card

	client      *http.Client
	sent, known int
}

const penPace = 60 * time.Millisecond

// deal gives the pen about two thirds of all updates; each is some pen's. All pens have the documents one after the other, whose own updates are in disorder:
// so some are whole, however few a busy machine carries, and what deletes has something to delete. The long one is written all along.
func (p *pen) deal(sheets []*sheet) {
	small, long := sheets[:len(sheets)-1], sheets[len(sheets)-1]
	typed := p.rng.Perm(len(long.updates))
	for i, s := range small {
		from := len(p.deck)
		for n := range s.updates {
			p.take(s, n)
		}
		for _, n := range typed[i*len(typed)/len(small) : (i+1)*len(typed)/len(small)] {
			p.take(long, n)
		}
		part := p.deck[from:]
		p.rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
}

// take puts an update on the deck, if the dice have it or no other pen is bound to.
func (p *pen) take(s *sheet, n int) {
	if n%pens != p.number && p.rng.IntN(2) > 0 {
		return
	}
	c := card{s, n, newTag()}
	switch p.deck = append(p.deck, c); p.rng.IntN(10) {
	case 0:
		p.deck = append(p.deck, c)
	case 1:
		p.deck = append(p.deck, card{s, n, newTag()})
	}
}

func (p *pen) run(ctx context.Context, stop <-chan struct{}) {
	p.client = &http.Client{Timeout: quiet}
	for i, c := range p.deck {
		if i > 0 && closed(stop) || ctx.Err() != nil {
			break
		}
		p.send(ctx, c)
		wait(ctx, penPace)
	}
	// Of each run the document has something already: what was sent first comes once more, with another tag.
	p.send(ctx, card{p.deck[0].of, p.deck[0].n, newTag()})
}

func (p *pen) send(ctx context.Context, c card) {
	c.of.mu.Lock()
	c.of.begun[c.n] = true
	c.of.mu.Unlock()
	if err := p.insist(ctx, c); err != nil && ctx.Err() == nil {
		p.rec.violation(fmt.Errorf("I16: an update of %s: %w", c.of.name, err))
	}
}

func (p *pen) insist(ctx context.Context, c card) error {
	for over := time.Now().Add(settle); ; wait(ctx, 50*time.Millisecond) {
		a, err := p.attempt(ctx, p.moves(), c)
		switch {
		case err == nil && a.Code == "":
			if p.sent++; a.Known {
				p.known++
			}
			return nil
		case err == nil && !a.Retryable:
			return fmt.Errorf("it is refused: %s %s", a.Code, a.Title)
		case ctx.Err() != nil || time.Now().After(over):
			return fmt.Errorf("it is not answered: %s: %w", a.Code, err)
		}
	}
}

func (p *pen) attempt(ctx context.Context, to door, c card) (a setAnswer, err error) {
	update := c.of.updates[c.n]
	event := map[string]any{"tag": c.tag, "type": "doc", "data": map[string]any{"doc": c.of.name, "update": update}}
	base := "http://" + to.addr + "/v1/rooms/" + p.room
	switch p.rng.IntN(3) {
	case 0:
		return sendFrame(ctx, to, p.token, p.room, event)
	case 1:
		err = ask(ctx, p.client, http.MethodPost, base+"/events", p.token, jsonText(event), &a)
	default:
		err = ask(ctx, p.client, http.MethodPost, base+"/docs/"+c.of.name, p.token, update, &a, "Content-Type", "application/octet-stream", "Idempotency-Key", c.tag)
	}
	return a, err
}

// replica follows a room of documents, and keeps what it is given of each. Where a page leaves updates out it reads the documents (DOC-12).
type replica struct {
	cursor
	name   string
	rec    *recorder
	names  []string // of the documents
	client *http.Client

	mu       sync.Mutex
	position string
	seq      int64
	lacks    bool // a page left updates out, and the documents are not read yet
	read     int  // how often they were, for that
	parts    map[string][][]byte
	final    map[string][][]byte // what it had in the end
}

func (r *replica) run(ctx context.Context) {
	r.forget()
	for visit := 0; ctx.Err() == nil; visit++ {
		if visit == 1 || r.rng.IntN(6) == 0 {
			r.forget()
			r.begin()
		}
		r.rec.visited("replica "+r.transport, r.follow(ctx, stay/4+time.Duration(r.rng.Int64N(int64(stay))), r.where, r.take, r.forget))
		r.mend(ctx)
		wait(ctx, time.Duration(r.rng.IntN(300))*time.Millisecond)
	}
}

func (r *replica) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position, r.seq, r.lacks, r.parts = "0", 0, false, make(map[string][][]byte)
}

// begin has one that knows nothing begin with the latest page, which leaves all updates out.
func (r *replica) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transport == "ws" {
		r.position = ""
	}
}

// mend reads what pages have left out, each document at another node than the one before.
func (r *replica) mend(ctx context.Context) {
	r.mu.Lock()
	lacks := r.lacks
	r.mu.Unlock()
	if !lacks {
		return
	}
	for _, name := range r.names {
		var update []byte
		for ctx.Err() == nil {
			err := ask(ctx, r.client, http.MethodGet, "http://"+r.moves().addr+"/v1/rooms/"+r.room+"/docs/"+name, r.token, nil, &update)
			if err == nil {
				break
			}
			r.rec.visited("replica "+r.transport+" reads", err)
			wait(ctx, 50*time.Millisecond)
		}
		r.mu.Lock()
		r.parts[name] = append(r.parts[name], update)
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lacks = ctx.Err() != nil
	r.read++
}

func (r *replica) where() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return place{position: r.position, seen: r.seq}
}

// reached says whether it has all up to a seq, and keeps what it has then: later it may begin anew.
func (r *replica) reached(seq int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq < seq || r.lacks {
		return false
	}
	r.final = maps.Clone(r.parts)
	return true
}

func (r *replica) take(node string, p changedPage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range p.Events {
		var data struct {
			Doc    string
			Update []byte
		}
		if err := json.Unmarshal(e.Data, &data); err != nil || e.Type != "doc" {
			r.rec.violation(fmt.Errorf("DOC-1: node %s gives as an event of a document %.200s: %w", node, e.Data, err))
			continue
		}
		r.parts[data.Doc] = append(r.parts[data.Doc], data.Update)
	}
	r.position, r.seq, r.lacks = p.Position, p.Seq, r.lacks || p.Docs
}
