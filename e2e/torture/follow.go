package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"roomlog/history"
)

// event and page are what a client reads off any transport.
type event struct {
	Room   string          `json:"room"`
	Seq    int64           `json:"seq"`
	Type   string          `json:"type"`
	Author string          `json:"author"`
	Tag    string          `json:"tag"`
	At     time.Time       `json:"at"`
	Data   json.RawMessage `json:"data"`
}

type page struct {
	Room     string  `json:"room"`
	Epoch    string  `json:"epoch"`
	Prev     int64   `json:"prev"`
	Seq      int64   `json:"seq"`
	Head     int64   `json:"head"`
	Floor    int64   `json:"floor"`
	Position string  `json:"position"`
	Events   []event `json:"events"`
}

// frame is any server frame of the WebSocket.
type frame struct {
	page
	Op        string `json:"op"`
	ID        int64  `json:"id"`
	Tag       string `json:"tag"`
	Code      string `json:"code"`
	Title     string `json:"title"`
	Retryable bool   `json:"retryable"`
	RetryMS   int64  `json:"retry_after_ms"`
	Duplicate bool   `json:"duplicate"`
	Reset     *reset `json:"reset"`
	Page      *page  `json:"page"`
	Reason    string `json:"reason"`
}

type reset struct {
	Reason string `json:"reason"`
}

// follower reads one room over one transport, and comes back from where it stood whenever it is cut off.
type follower struct {
	name      string
	transport string
	room      string
	base      string // host:port, through a proxy
	token     string
	rec       *recorder
	rng       *rand.Rand
	moves     func() door // where the next connection or request goes; nil: base
	at        string      // the node that it is connected to; "" where there is one node

	position string // as the server gave it; "0" at first
	seq      int64
	refresh  func() (token string, lives time.Duration) // a token for each dial, and anew while it lives; nil: token, for ever
	outcast  bool                                       // it is now and then without access, which is no fault then
	back     int64                                      // when the server said to come back, in ms; 0: it did not
}

// door is where to connect now; from then on the history says so.
func (f *follower) door() (addr string) {
	if f.moves == nil {
		return f.base
	}
	d := f.moves()
	f.at = d.node
	return d.addr
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		switch f.transport {
		case "ws":
			err = f.overWebSocket(ctx)
		case "sse":
			err = f.overStream(ctx)
		default:
			err = f.overPolls(ctx)
		}
		if ctx.Err() == nil && err != nil {
			f.rec.note(f.transport, err)
		}
		wait(ctx, time.Duration(max(int64(f.rng.IntN(150)), f.back))*time.Millisecond)
		f.back = 0
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// quiet is how long a connection may say nothing before the client gives it up: the server pings
// every 10 s, but a test has less patience.
const quiet = 3 * time.Second

func (f *follower) overWebSocket(ctx context.Context) error {
	f.renew()
	conn, err := dialWebSocket(ctx, f.door(), f.token)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	f.rec.joins(f)
	ask := asked(f.name, f.at, f.transport, f.room, f.position == "")
	defer f.keepFresh(ctx, conn)()
	join := map[string]any{"op": "join", "id": 1, "room": f.room, "position": f.position}
	if f.position == "" {
		delete(join, "position")
	}
	if err := writeJSON(ctx, conn, join); err != nil {
		return err
	}
	var head int64 // as the cursor was placed: up to here it catches up
	for {
		fr, err := readFrame(ctx, conn, func() error { return writeJSON(ctx, conn, map[string]any{"op": "ping"}) })
		if err != nil {
			f.rec.turnedAway(f, err)
			switch {
			case f.outcast:
				return closing(err, 4501, 4503)
			case f.refresh != nil:
				return closing(err, 4501)
			}
			return closing(err)
		}
		switch fr.Op {
		case "joined":
			f.rec.head(ask, fr.Epoch, fr.Head)
			fr.Page.Room, fr.Page.Epoch, fr.Page.Floor, fr.Page.Head = fr.Room, fr.Epoch, fr.Floor, fr.Head
			if fr.Reset != nil {
				f.rec.reset(f, fr.Reset.Reason, fr.page)
			}
			f.take(*fr.Page, history.ViaReplay)
			head = fr.Head
		case "page":
			f.take(fr.page, viaOf(fr.Seq, head))
		case "reset":
			f.rec.reset(f, fr.Reason, fr.page)
			f.position, f.seq = "", 0 // RESET-2
			return fmt.Errorf("reset %s", fr.Reason)
		case "error":
			if f.outcast && (fr.Code == "unknown_room" || fr.Code == "revoked") {
				return errors.New(fr.Code)
			}
			if fr.ID == 0 { // of the connection: its close follows
				f.back = fr.RetryMS
				continue
			}
			return refusal("join", fr)
		}
	}
}

// refusal is an error frame as an error: one that may pass is only noted.
func refusal(step string, fr frame) error {
	if fr.Retryable && fr.Code != "internal" {
		return fmt.Errorf("%s: %s", step, fr.Code)
	}
	return breach(fmt.Sprintf("%s: refused: %s %s", step, fr.Code, fr.Title))
}

func viaOf(seq, head int64) history.Via {
	if seq <= head {
		return history.ViaReplay
	}
	return history.ViaLive
}

// take records a page and moves to its end. Whether it adjoins is for the checker to say.
func (f *follower) take(p page, via history.Via) {
	f.position, f.seq = p.Position, p.Seq
	f.rec.page(f, p, via)
}

func dialWebSocket(ctx context.Context, base, token string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+base+"/v1/ws", nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(8 << 20)
	if err := writeJSON(ctx, conn, map[string]any{"op": "hello", "token": token}); err != nil {
		conn.CloseNow()
		return nil, err
	}
	return conn, nil
}

func writeJSON(ctx context.Context, conn *websocket.Conn, v any) error {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, text)
}

// readFrame reads the next frame; pings of the server are answered. A quiet connection is probed
// once, then given up.
func readFrame(ctx context.Context, conn *websocket.Conn, probe func() error) (fr frame, err error) {
	timer := time.AfterFunc(quiet/2, func() { _ = probe() })
	defer timer.Stop()
	for {
		text, err := readMessage(ctx, conn)
		if err != nil {
			return frame{}, err
		}
		timer.Reset(quiet / 2)
		fr = frame{}
		if err := json.Unmarshal(text, &fr); err != nil {
			return frame{}, breach(fmt.Sprintf("frame %.200s: %v", text, err))
		}
		switch fr.Op {
		case "ping":
			if err := writeJSON(ctx, conn, map[string]any{"op": "pong"}); err != nil {
				return frame{}, err
			}
		case "pong", "welcome":
		default:
			return fr, nil
		}
	}
}

// readMessage reads the next message within the time that a connection may be quiet.
func readMessage(ctx context.Context, conn *websocket.Conn) ([]byte, error) {
	read, cancel := context.WithTimeout(ctx, quiet)
	_, text, err := conn.Read(read)
	cancel()
	if err == nil && !json.Valid(text) {
		// The library takes a message that is cut off behind a frame's header for one that ends there. Nothing
		// comes behind it then.
		if _, _, next := conn.Read(ctx); next != nil {
			return nil, next
		}
	}
	return text, err
}

// readText reads the next message as [readFrame] does, and gives it as it came.
func readText(ctx context.Context, conn *websocket.Conn) ([]byte, error) {
	timer := time.AfterFunc(quiet/2, func() { _ = writeJSON(ctx, conn, map[string]any{"op": "ping"}) })
	defer timer.Stop()
	for {
		text, err := readMessage(ctx, conn)
		if err != nil {
			return nil, err
		}
		timer.Reset(quiet / 2)
		if !bytes.Equal(text, pingText) {
			return text, nil
		}
		if err := writeJSON(ctx, conn, map[string]any{"op": "pong"}); err != nil {
			return nil, err
		}
	}
}

// converse connects, asks, and has every message that comes taken, until the connection ends or taking one is an error.
func converse(ctx context.Context, base, token string, ask []map[string]any, take func(conn *websocket.Conn, text []byte) error) error {
	conn, err := dialWebSocket(ctx, base, token)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	for _, frame := range ask {
		if err := writeJSON(ctx, conn, frame); err != nil {
			return err
		}
	}
	for {
		text, err := readText(ctx, conn)
		if err != nil {
			return closing(err)
		}
		if err := take(conn, text); err != nil {
			return err
		}
	}
}

// pingText is a ping of the server.
var pingText = []byte(`{"op":"ping"}`)

// closing judges how a connection ended. The proxies cut bytes off but change none, so no server has
// reason to find a client's frames or token wrong, and none to close for a fault of its own.
func closing(err error, alsoGood ...websocket.StatusCode) error {
	good := []websocket.StatusCode{-1, websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusServiceRestart, 4000, 4001, 4002}
	if code := websocket.CloseStatus(err); !slices.Contains(good, code) && !slices.Contains(alsoGood, code) {
		return breach(fmt.Sprintf("CLOSE-1: closed with %d", code))
	}
	return err
}

// statusError is that of a request, where one who is without access is refused by right.
func (f *follower) statusError(step string, status int) error {
	if f.outcast && (status == http.StatusNotFound || status == http.StatusUnauthorized || status == http.StatusForbidden) {
		return fmt.Errorf("%s: status %d", step, status)
	}
	return statusError(step, status)
}

// statusError is a refused request as an error: one that may pass is only noted.
func statusError(step string, status int) error {
	if status == http.StatusTooManyRequests || status > http.StatusInternalServerError {
		return fmt.Errorf("%s: status %d", step, status)
	}
	return breach(fmt.Sprintf("%s: refused with status %d", step, status))
}

// epochOf and seqOf look into a position, which an application would not.
func epochOf(position string) string {
	epoch, _, found := strings.Cut(position, ":")
	if !found {
		return ""
	}
	return epoch
}

func seqOf(position string) int64 {
	parts := strings.Split(position, ":")
	if len(parts) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(parts[1], 10, 64)
	return n
}
