package torture

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"roomlog/history"
)

// leeway is how long a token is good after its exp (AUTH-3, AUTH-9). Tokens that are nearly as old as that have their
// connection end within seconds, so that a run need not wait for it.
const leeway = 30 * time.Second

// key is the key that the node signs and checks tokens with; it is made by the first start.
func (n *node) key() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(n.dir, "data", "dev.key"))
	return bytes.TrimSpace(text), err
}

// grant is a grant of a token, as the wire has it.
type grant struct {
	Rooms string   `json:"rooms"`
	Can   []string `json:"can"`
}

var everything = []grant{{Rooms: "*", Can: []string{"read", "send"}}}

// sign makes a token that a connection may go on with for a time from now; its exp is the leeway before that.
func sign(key []byte, user string, grants []grant, lives time.Duration) (string, error) {
	exp := time.Now().Add(lives - leeway)
	issued := time.Now()
	if exp.Before(issued) {
		issued = exp
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "grants": grants, "exp": exp.Unix(), "iat": issued.Unix(),
	}).SignedString(key)
}

// renew takes a new token, where the follower's do not last.
func (f *follower) renew() (lives time.Duration) {
	if f.refresh == nil {
		return 0
	}
	f.token, lives = f.refresh()
	if f.outcast {
		return lives
	}
	f.rec.Add(history.Line{
		Op: history.OpToken, Client: f.name, Transport: f.transport, Room: f.room,
		TEnd: history.Now() + int64(lives-leeway),
	})
	return lives
}

// keepFresh refreshes the connection's token three times in four, until the function that it returns is called: the
// fourth time the token runs out, and the server is to say so (I18).
func (f *follower) keepFresh(ctx context.Context, conn *websocket.Conn) (stop func()) {
	if f.refresh == nil || f.outcast || f.rng.IntN(2) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var refreshing sync.WaitGroup
	rounds := 1 + f.rng.IntN(3)
	refreshing.Go(func() {
		for range rounds {
			wait(ctx, lodging/2)
			if ctx.Err() != nil {
				return
			}
			f.renew()
			if writeJSON(ctx, conn, map[string]any{"op": "refresh", "token": f.token}) != nil {
				return
			}
		}
	})
	return func() {
		cancel()
		refreshing.Wait()
	}
}

// lodging is how long the tokens of those live who are not to stay.
const lodging = 2 * time.Second
