package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout bounds the dial to the server, which is on the same machine or next to it.
const dialTimeout = 10 * time.Second

// Proxy forwards TCP connections to one address and breaks them as told. All methods may be called
// by several goroutines at once.
type Proxy struct {
	to       string
	listener net.Listener
	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	running  sync.WaitGroup
	messages *messages // nil: bytes are just bytes

	// faults is replaced as a whole under mu, and read without it.
	faults atomic.Pointer[faultSet]

	mu     sync.Mutex
	conns  map[uint64]*conn
	lastID uint64
	closed bool
}

// faultSet is the faults of one moment.
type faultSet struct {
	list    []*setFault   // longest class first
	changed chan struct{} // closed when another set has taken its place
}

// setFault is a fault that has been set; the pointer is its identity.
type setFault struct {
	Fault
	cuts atomic.Int64 // connections cut so far, for Times
}

// healthy stands for "no fault", so that nobody needs a nil check.
var healthy = &setFault{Fault: Fault{Kind: Healthy}}

// Listen starts a proxy on the TCP address listen ("127.0.0.1:0" for any free port) that forwards to
// the TCP address to. Nothing needs to listen at to yet: a connection whose dial fails is reset.
func Listen(listen, to string) (*Proxy, error) { return listenWith(listen, to, nil) }

func listenWith(listen, to string, m *messages) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(to); err != nil {
		return nil, fmt.Errorf("forward to %q: %w", to, err)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy: %w", err)
	}
	p := &Proxy{to: to, listener: listener, messages: m, conns: map[uint64]*conn{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.faults.Store(&faultSet{changed: make(chan struct{})})
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the address the proxy listens on.
func (p *Proxy) Addr() net.Addr { return p.listener.Addr() }

// Set makes f the fault of its class from now on, for the connections that are there and for new
// ones, and replaces the one before. Kind cut is an act: it leaves the fault in force as it is.
func (p *Proxy) Set(f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	if f.Kind == Cut {
		p.cut(f.Class)
		return nil
	}
	p.replace(func(list []*setFault) []*setFault {
		list = slices.DeleteFunc(list, func(s *setFault) bool { return s.Class == f.Class })
		return append(list, &setFault{Fault: f})
	})
	return nil
}

// Heal ends all faults. What a black hole held flows on, and what a delay held is delivered at once.
func (p *Proxy) Heal() { p.replace(func([]*setFault) []*setFault { return nil }) }

// HealClass ends the fault of one class; the class "" is the fault of all connections.
func (p *Proxy) HealClass(class string) {
	p.replace(func(list []*setFault) []*setFault {
		return slices.DeleteFunc(list, func(s *setFault) bool { return s.Class == class })
	})
}

// CutAll resets every connection, those held in a black hole too, and returns how many they were.
func (p *Proxy) CutAll() int { return p.cut("") }

// Cut resets the connection with this id (see [Proxy.Conns]) and reports whether it was there.
func (p *Proxy) Cut(id uint64) bool {
	p.mu.Lock()
	c := p.conns[id]
	p.mu.Unlock()
	if c != nil {
		c.reset()
	}
	return c != nil
}

func (p *Proxy) cut(class string) int {
	n := 0
	for _, c := range p.open() {
		if strings.HasPrefix(c.className(), class) {
			c.reset()
			n++
		}
	}
	return n
}

// Faults returns the faults in force.
func (p *Proxy) Faults() []Fault {
	set := p.faults.Load()
	list := make([]Fault, 0, len(set.list))
	for _, s := range set.list {
		list = append(list, s.Fault)
	}
	return list
}

// ConnState is what a proxy knows of one connection.
type ConnState struct {
	ID     uint64    `json:"id"`
	Class  string    `json:"class"` // path of its first HTTP request, "" until known
	Client string    `json:"client"`
	Opened time.Time `json:"opened"`
	Up     int64     `json:"up"`   // bytes delivered to the server
	Down   int64     `json:"down"` // bytes delivered to the client
}

// Conns returns the connections that are open, oldest first.
func (p *Proxy) Conns() []ConnState {
	open := p.open()
	list := make([]ConnState, 0, len(open))
	for _, c := range open {
		list = append(list, ConnState{
			ID: c.id, Class: c.className(), Client: c.client.RemoteAddr().String(),
			Opened: c.opened, Up: c.up.sent.Load(), Down: c.down.sent.Load(),
		})
	}
	return list
}

// Close stops listening, resets every connection and returns when every goroutine has ended. Calls
// after the first wait too and return nil.
func (p *Proxy) Close() error {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.CutAll()
	p.stop()
	p.running.Wait()
	if again {
		return nil
	}
	return err
}

// replace installs the set that change makes of the faults in force (it may reuse the slice) and
// wakes everything that waits under the old one.
func (p *Proxy) replace(change func([]*setFault) []*setFault) {
	p.mu.Lock()
	old := p.faults.Load()
	list := change(slices.Clone(old.list))
	slices.SortStableFunc(list, func(a, b *setFault) int { return cmp.Compare(len(b.Class), len(a.Class)) })
	p.faults.Store(&faultSet{list: list, changed: make(chan struct{})})
	p.mu.Unlock()
	close(old.changed)
	for _, c := range p.open() {
		c.up.wake()
		c.down.wake()
	}
}

// spend counts a cut against s, and reports false when s had none left. The last one ends it.
func (p *Proxy) spend(s *setFault) bool {
	n := s.cuts.Add(1)
	if s.Times > 0 && n == s.Times {
		p.replace(func(list []*setFault) []*setFault {
			return slices.DeleteFunc(list, func(other *setFault) bool { return other == s })
		})
	}
	return s.Times == 0 || n <= s.Times
}

// of returns the fault for a connection of this class and direction; "" asks for both directions.
func (set *faultSet) of(class string, d Direction) *setFault {
	for _, s := range set.list {
		if strings.HasPrefix(class, s.Class) {
			if s.covers(d) {
				return s
			}
			return healthy
		}
	}
	return healthy
}

// open returns the connections, oldest first.
func (p *Proxy) open() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*conn, 0, len(p.conns))
	for _, c := range p.conns {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
	return list
}

// accept takes connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		nc, err := p.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors, or the client was gone again: neither may spin
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		default:
			p.start(nc.(*net.TCPConn))
		}
	}
}

// start serves one accepted connection on its own goroutine, or resets it.
func (p *Proxy) start(client *net.TCPConn) {
	if p.faults.Load().of("", "").Kind == Refuse {
		reset(client)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		reset(client)
		return
	}
	p.lastID++
	c := newConn(p, p.lastID, client)
	p.conns[c.id] = c
	p.running.Go(func() {
		c.serve()
		p.mu.Lock()
		delete(p.conns, c.id)
		p.mu.Unlock()
	})
}
