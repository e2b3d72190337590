package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"roomlog/chaos"
	"roomlog/server/room"
	"roomlog/server/transport"
)

// The bounds of tunnels, which exist in dev only.
const (
	maxTunnels    = 64
	tunnelIdle    = 10 * time.Minute // without a request about it or a connection through it
	tunnelSweep   = time.Minute
	maxTunnelBody = 4 << 10
)

// tunnels are the fault proxies in front of this server's own listener, one per pane of a page that
// wants to be cut off. All methods may be called concurrently.
//
//	POST   /v1/dev/tunnels       201 {"id":…,"url":"http://127.0.0.1:PORT","control":…,"open":false,…}; control is
//	                             the address of the next three at this very node: behind a load balancer it alone
//	                             knows the tunnel
//	GET    /v1/dev/tunnels/{id}  200 the same
//	POST   /v1/dev/tunnels/{id}  {"open":true} drives into the tunnel: nothing passes in either direction
//	                             while both ends stay open; {"open":false} drives out, healthy again; or
//	                             a fault of the chaos package, such as {"kind":"delay","delay_ms":2000};
//	                             200 the state
//	DELETE /v1/dev/tunnels/{id}  204
type tunnels struct {
	swept chan struct{}
	stop  context.CancelFunc

	mu     sync.Mutex
	to     string // the listener; empty before open and after close
	byName map[string]*tunnel
}

type tunnel struct {
	id      string
	control string
	proxy   *chaos.Proxy
	used    time.Time
}

// inTunnel is what {"open":true} means.
var inTunnel = chaos.Fault{Kind: chaos.Blackhole}

// tunnelState is a tunnel on the wire.
type tunnelState struct {
	ID          string        `json:"id"`
	URL         string        `json:"url"`
	Control     string        `json:"control"`
	Open        bool          `json:"open"` // nothing passes
	Faults      []chaos.Fault `json:"faults"`
	Connections int           `json:"connections"`
}

func newTunnels() *tunnels { return &tunnels{byName: map[string]*tunnel{}} }

// routes adds the tunnels to mux, for this machine only.
func (ts *tunnels) routes(mux *http.ServeMux, server *transport.Server) {
	type route = func(http.ResponseWriter, *http.Request) error
	mux.Handle("/v1/dev/tunnels", server.Local(map[string]route{http.MethodPost: ts.create}))
	mux.Handle("/v1/dev/tunnels/{id}", server.Local(map[string]route{
		http.MethodGet:    ts.state,
		http.MethodPost:   ts.change,
		http.MethodDelete: ts.remove,
	}))
}

// open lets tunnels be made to the address to, and starts the sweeping of idle ones.
func (ts *tunnels) open(to string) {
	ctx, stop := context.WithCancel(context.Background())
	ts.mu.Lock()
	ts.to, ts.stop, ts.swept = to, stop, make(chan struct{})
	ts.mu.Unlock()
	go func() {
		defer close(ts.swept)
		ticks := time.NewTicker(tunnelSweep)
		defer ticks.Stop()
		for {
			select {
			case now := <-ticks.C:
				ts.sweep(now)
			case <-ctx.Done():
				return
			}
		}
	}()
}

// close ends every tunnel and the sweeping. No tunnel can be made afterwards.
func (ts *tunnels) close(context.Context) error {
	ts.stop()
	<-ts.swept
	ts.mu.Lock()
	all := ts.byName
	ts.byName, ts.to = map[string]*tunnel{}, ""
	ts.mu.Unlock()
	var err error
	for _, t := range all {
		err = errors.Join(err, t.proxy.Close())
	}
	return err
}

// sweep ends the tunnels that nobody has used for tunnelIdle.
func (ts *tunnels) sweep(now time.Time) {
	var idle []*tunnel
	ts.mu.Lock()
	for id, t := range ts.byName {
		if len(t.proxy.Conns()) > 0 {
			t.used = now
		} else if now.Sub(t.used) >= tunnelIdle {
			delete(ts.byName, id)
			idle = append(idle, t)
		}
	}
	ts.mu.Unlock()
	for _, t := range idle {
		_ = t.proxy.Close() // nothing goes through it
	}
}

func (ts *tunnels) create(w http.ResponseWriter, _ *http.Request) error {
	t, err := ts.add()
	if err != nil {
		return err
	}
	return t.answer(w, http.StatusCreated)
}

func (ts *tunnels) add() (*tunnel, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.to == "" {
		return nil, &room.Error{Code: room.CodeGoingAway, Title: "This server is going away; connect again."}
	}
	if len(ts.byName) >= maxTunnels && !ts.dropOldest() {
		return nil, &room.Error{Code: room.CodeLimitExceeded, Title: "There are as many tunnels as there may be; delete one.", Limit: maxTunnels}
	}
	proxy, err := chaos.Listen("127.0.0.1:0", ts.to)
	if err != nil {
		return nil, fmt.Errorf("open a tunnel: %w", err)
	}
	t := &tunnel{id: rand.Text(), proxy: proxy, used: time.Now()}
	t.control = "http://" + ts.to + "/v1/dev/tunnels/" + t.id
	ts.byName[t.id] = t
	return t, nil
}

// dropOldest ends the tunnel that has been unused for longest, of those without a connection: a page
// that was reloaded has left its tunnels behind. The caller holds ts.mu.
func (ts *tunnels) dropOldest() bool {
	var oldest *tunnel
	for _, t := range ts.byName {
		if len(t.proxy.Conns()) == 0 && (oldest == nil || t.used.Before(oldest.used)) {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	delete(ts.byName, oldest.id)
	_ = oldest.proxy.Close() // nothing goes through it
	return true
}

// find returns the tunnel that a request names, and notes that it is used.
func (ts *tunnels) find(r *http.Request) (*tunnel, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byName[r.PathValue("id")]
	if t == nil {
		return nil, &room.Error{Code: room.CodeNotFound, Title: "There is no such tunnel; idle ones are closed after 10 minutes."}
	}
	t.used = time.Now()
	return t, nil
}

func (ts *tunnels) state(w http.ResponseWriter, r *http.Request) error {
	t, err := ts.find(r)
	if err != nil {
		return err
	}
	return t.answer(w, http.StatusOK)
}

func (ts *tunnels) change(w http.ResponseWriter, r *http.Request) error {
	t, err := ts.find(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTunnelBody))
	if err != nil {
		return &room.Error{Code: room.CodeMessageTooLarge, Title: "The body is larger than a fault can be.", Limit: maxTunnelBody}
	}
	if err := t.apply(text); err != nil {
		return &room.Error{Code: room.CodeBadRequest, Title: "The body is neither {\"open\":true|false} nor a fault: " + err.Error() + "."}
	}
	return t.answer(w, http.StatusOK)
}

// apply is a request body: {"open":…} or a fault.
func (t *tunnel) apply(text []byte) error {
	var body struct {
		Open *bool `json:"open"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return err
	}
	if body.Open != nil {
		t.proxy.Heal()
		if !*body.Open {
			return nil
		}
		return t.proxy.Set(inTunnel)
	}
	var fault chaos.Fault
	if err := json.Unmarshal(text, &fault); err != nil {
		return err
	}
	return t.proxy.Set(fault)
}

func (ts *tunnels) remove(w http.ResponseWriter, r *http.Request) error {
	t, err := ts.find(r)
	if err != nil {
		return err
	}
	ts.mu.Lock()
	delete(ts.byName, t.id)
	ts.mu.Unlock()
	if err := t.proxy.Close(); err != nil {
		return fmt.Errorf("close a tunnel: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// answer writes the state of the tunnel.
func (t *tunnel) answer(w http.ResponseWriter, status int) error {
	faults := t.proxy.Faults()
	if faults == nil {
		faults = []chaos.Fault{}
	}
	body, err := json.Marshal(tunnelState{
		ID: t.id, URL: "http://" + t.proxy.Addr().String(), Control: t.control, Open: slices.Contains(faults, inTunnel),
		Faults: faults, Connections: len(t.proxy.Conns()),
	})
	if err != nil {
		return fmt.Errorf("write the state of a tunnel: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone hears nothing
	return nil
}
