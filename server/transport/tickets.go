package transport

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

const (
	// ticketLives is how long a ticket waits for its first use.
	ticketLives = 30 * time.Second
	// serviceTicketLives is how long the connection lasts that a service got a ticket for: its key does not end.
	serviceTicketLives = 12 * time.Hour
	// ticketMisses is how many ids that do not match end a ticket: nobody finds a mark by trying.
	ticketMisses = 5
	// ticketWithin bounds how long the store is waited for.
	ticketWithin = 2 * time.Second
)

// tickets are one-time passes that stand for a token where only a URL can carry one (rules TICK-1 to TICK-8). What a
// ticket stands for is sealed in it, so that to issue one costs nothing, and every node of a cluster can take it; which
// were used is kept in a store that the nodes share.
type tickets struct {
	now  func() time.Time
	seal *sealer
	used room.TicketStore
}

// ticket is what is sealed in one.
type ticket struct {
	ID     string        `json:"i"`
	Unused time.Time     `json:"u"` // until when it waits for its first use
	Who    auth.Identity `json:"w"`
}

// ticketed is the stream that a ticket opened, as it is kept: what a request that takes it up again has to match.
type ticketed struct {
	From  netip.Prefix         `json:"from"`
	Rooms map[room.ID]room.Seq `json:"rooms"`         // where it began
	Me    bool                 `json:"me,omitempty"`  // it was told of its user's rooms
	Who   *auth.Identity       `json:"who,omitempty"` // of a refresh; nil: the ticket says who
}

// issue makes a ticket for an identity, and says until when it has to be used.
func (ts *tickets) issue(who auth.Identity) (text string, until time.Time) {
	now := ts.now()
	if who.Service != "" {
		who.Until = now.Add(serviceTicketLives)
	}
	until = now.Add(ticketLives)
	if who.Until.Before(until) {
		until = who.Until
	}
	return ts.seal.seal(ticket{newID(), until, who}), until
}

// use takes a ticket: for the first time, or again for a stream that it opened, which the caller has to
// match against resumes. nil: it is none, or was used. once: it is not to be used again.
// Errors: those of the store.
func (ts *tickets) use(ctx context.Context, text string, once bool) (t *ticket, who *auth.Identity, resumes *ticketed, err error) {
	t = new(ticket)
	if !ts.seal.open(text, t) {
		return nil, nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ticketWithin)
	defer cancel()
	if ts.now().Before(t.Unused) {
		first, err := ts.used.UseTicket(ctx, t.ID, t.Who.User, t.Unused)
		if err != nil || first {
			return t, &t.Who, nil, err
		}
	}
	if once {
		return nil, nil, nil, nil
	}
	kept, tries, err := ts.used.TryTicket(ctx, t.ID)
	if err != nil || kept == nil || tries > ticketMisses {
		return nil, nil, nil, err
	}
	resumes = new(ticketed)
	if err := json.Unmarshal(kept, resumes); err != nil {
		return nil, nil, nil, err
	}
	who = &t.Who
	if resumes.Who != nil {
		who = resumes.Who
	}
	if !ts.now().Before(who.Until) {
		return nil, nil, nil, nil
	}
	return t, who, resumes, nil
}

// keep keeps the stream that a ticket opened, took up again, or is refreshed, and forgives what did not match.
func (ts *tickets) keep(ctx context.Context, t *ticket, stream ticketed) error {
	until := t.Who.Until
	if stream.Who != nil {
		until = stream.Who.Until
	}
	kept, err := json.Marshal(stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ticketWithin)
	defer cancel()
	return ts.used.KeepTicket(ctx, t.ID, kept, until)
}
