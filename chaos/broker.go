package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Messages is what a [Broker] does to the messages that the server sends to its client: to each that is published
// under a subject which contains Subject, at most one thing, with these probabilities. Answers to the client's own
// commands always pass, in their order. The zero Messages leaves all as it is.
type Messages struct {
	Subject string  // such as "room:"; empty: every message
	Drop    float64 // never arrives
	Repeat  float64 // arrives twice
	Garble  float64 // arrives with one byte of its payload changed
	Late    float64 // is overtaken by what comes behind it
	// By is the most that a late message waits; each waits a part of it, drawn at random.
	By time.Duration
}

// Validate says in one sentence what is wrong with m, or returns nil.
func (m Messages) Validate() error {
	switch {
	case m.Drop < 0 || m.Repeat < 0 || m.Garble < 0 || m.Late < 0 || m.Drop+m.Repeat+m.Garble+m.Late > 1:
		return errors.New("the probabilities of what happens to a message are 0 or more, and at most 1 together")
	case m.Late > 0 && m.By <= 0:
		return errors.New("late messages need a time that they are late by")
	}
	return nil
}

// Counts is what became of the messages that a broker has seen.
type Counts struct {
	Passed   int64 // as they were
	Dropped  int64 // those that were kept and dropped, too
	Repeated int64
	Garbled  int64
	Late     int64
	// Unread is how many connections were not in the protocol: their bytes passed as they were.
	Unread int64
}

// Broker is a [Proxy] between a client and a message broker, which knows where each message towards the client
// begins and ends: it can lose, repeat, change and delay whole ones, which a connection cannot. It does not look into TLS.
type Broker struct {
	*Proxy
	messages *messages
}

// ListenBroker starts one, as [Listen] does. The seed is what becomes of the messages of each connection, in the order
// in which connections were made.
func ListenBroker(listen, to string, protocol Protocol, seed uint64) (*Broker, error) {
	if protocol != RESP && protocol != NATS {
		return nil, fmt.Errorf("no protocol has the number %d", protocol)
	}
	m := &messages{protocol: protocol, seed: seed, sieves: map[*sieve]struct{}{}}
	p, err := listenWith(listen, to, m)
	if err != nil {
		return nil, err
	}
	return &Broker{Proxy: p, messages: m}, nil
}

// SetMessages replaces what becomes of messages, from the next one on.
func (b *Broker) SetMessages(fate Messages) error {
	if err := fate.Validate(); err != nil {
		return err
	}
	b.messages.mu.Lock()
	defer b.messages.mu.Unlock()
	b.messages.fate = fate
	return nil
}

// KeepLast keeps the newest message of each subject that contains subject from its client, until the next one of that
// subject comes, which is kept then. So whenever the senders fall silent, exactly the last one is missing, until
// [Broker.DropKept] or [Broker.PassKept] ends it.
func (b *Broker) KeepLast(subject string) {
	b.messages.mu.Lock()
	defer b.messages.mu.Unlock()
	b.messages.keep, b.messages.keeping = subject, true
}

// DropKept drops the messages that are kept, ends KeepLast, and returns how many they were.
func (b *Broker) DropKept() int {
	m := b.messages
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for s := range m.sieves {
		n += len(s.kept)
		clear(s.kept)
	}
	m.keeping = false
	m.counts.Dropped += int64(n)
	return n
}

// PassKept lets the messages that are kept go on, ends KeepLast, and returns how many they were.
func (b *Broker) PassKept() int {
	m := b.messages
	m.mu.Lock()
	n := 0
	for s := range m.sieves {
		for _, data := range s.kept {
			s.late = append(s.late, lateMessage{data: data})
			n++
		}
		clear(s.kept)
		s.sortLate()
	}
	m.keeping = false
	m.counts.Passed += int64(n)
	m.mu.Unlock()
	b.replace(func(list []*setFault) []*setFault { return list }) // wakes the lines
	return n
}

// Heal ends all faults of connections and messages. What was kept goes on.
func (b *Broker) Heal() {
	b.messages.mu.Lock()
	b.messages.fate = Messages{}
	b.messages.mu.Unlock()
	b.PassKept()
	b.Proxy.Heal()
}

// Counts tells what became of the messages so far.
func (b *Broker) Counts() Counts {
	b.messages.mu.Lock()
	defer b.messages.mu.Unlock()
	return b.messages.counts
}

// messages is what all connections of a broker share.
type messages struct {
	protocol Protocol
	seed     uint64

	mu      sync.Mutex // guards what follows, and the sieves
	fate    Messages
	keep    string
	keeping bool
	counts  Counts
	sieves  map[*sieve]struct{}
}

// sieve takes messages out of what a server says on one connection.
type sieve struct {
	of   *messages
	rng  *rand.Rand
	rest []byte // of a unit that has not all arrived
	raw  bool   // this is not the protocol
	late []lateMessage
	kept map[string][]byte // by subject
}

// lateMessage may be delivered from due on.
type lateMessage struct {
	data []byte
	due  time.Time
}

func (m *messages) sieve(connection uint64) *sieve {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &sieve{of: m, rng: rand.New(rand.NewPCG(m.seed, connection)), kept: map[string][]byte{}}
	m.sieves[s] = struct{}{}
	return s
}

// end forgets the connection; what is kept or late goes with it.
func (s *sieve) end() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	delete(s.of.sieves, s)
}

// take is told what the server said, and returns what is to be delivered now. It keeps nothing of b.
func (s *sieve) take(b []byte, now time.Time) (out [][]byte) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.rest = append(s.rest, b...)
	for len(s.rest) > 0 && !s.raw {
		u, err := s.of.protocol.next(s.rest)
		if err != nil {
			s.raw = true
			s.of.counts.Unread++
			break
		}
		if u.size == 0 {
			return out
		}
		data := slices.Clone(s.rest[:u.size])
		s.rest = s.rest[u.size:]
		if u.message {
			out = s.judge(u, data, now, out)
		} else {
			out = append(out, data)
		}
	}
	if s.raw {
		out = append(out, s.rest)
	}
	s.rest = nil
	return out
}

// judge does to a message what is to be done to it.
func (s *sieve) judge(u unit, data []byte, now time.Time, out [][]byte) [][]byte {
	m, times, whole := s.of, 1, true
	if strings.Contains(u.subject, m.fate.Subject) {
		dice := s.rng.Float64()
		falls := func(p float64) bool { dice -= p; return dice < 0 }
		switch {
		case falls(m.fate.Drop):
			m.counts.Dropped++
			return out
		case falls(m.fate.Repeat):
			m.counts.Repeated++
			times = 2
		case falls(m.fate.Garble):
			m.counts.Garbled++
			whole = false
			if n := u.payload - 2; n > 0 {
				data[len(data)-u.payload+s.rng.IntN(n)] ^= 1
			}
		case falls(m.fate.Late):
			m.counts.Late++
			s.late = append(s.late, lateMessage{data: data, due: now.Add(time.Duration(s.rng.Int64N(int64(m.fate.By)) + 1))})
			s.sortLate()
			return out
		}
	}
	if m.keeping && strings.Contains(u.subject, m.keep) {
		if before := s.kept[u.subject]; before != nil {
			out = append(out, before)
			m.counts.Passed++
		}
		s.kept[u.subject] = data
		return out
	}
	if times == 1 && whole {
		m.counts.Passed++
	}
	for range times {
		out = append(out, data)
	}
	return out
}

func (s *sieve) sortLate() {
	slices.SortStableFunc(s.late, func(a, b lateMessage) int { return a.due.Compare(b.due) })
}

// ripe are the late messages that are due, and when the next one is; zero: there is none.
func (s *sieve) ripe(now time.Time) (out [][]byte, next time.Time) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	n := 0
	for ; n < len(s.late) && !s.late[n].due.After(now); n++ {
		out = append(out, s.late[n].data)
	}
	s.late = slices.Delete(s.late, 0, n)
	if len(s.late) > 0 {
		next = s.late[0].due
	}
	return out, next
}
