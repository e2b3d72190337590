package torture

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const openRoom = "chat:open"

// castOutsider makes a user who has one room, and is a member of one that their token does not grant: no feed may say so.
func (c *cluster) castOutsider(ctx context.Context) error {
	token, err := sign(c.key, "outsider", []grant{{Rooms: openRoom, Can: []string{"read", "send"}}}, 12*time.Hour)
	if err != nil {
		return err
	}
	admin, err := sign(c.key, "admin", []grant{{Rooms: "*", Can: []string{"read", "send", "admin"}}}, 12*time.Hour)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: quiet}
	for _, room := range []string{openRoom, changedRoom(0)} {
		status, text, err := insist(ctx, client, http.MethodPut, "/v1/rooms/"+room+"/members/outsider", admin, map[string]any{"role": "member"}, rounds(c.draw(), c.doors()))
		if err != nil || status > http.StatusCreated {
			return fmt.Errorf("a member: status %d, %s: %w", status, text, err)
		}
	}
	rng := c.draw()
	c.sniffer = &sniffer{
		name: "outsider", token: token, open: openRoom, closed: []string{peopleRoom, changedRoom(0), streamRoom(0)},
		canaries: [][]byte{[]byte(hush)}, person: c.people.expected[0], rec: c.rec, rng: rng,
		moves: rounds(rng, c.doors()), looked: make(map[string]int),
	}
	return nil
}

func (c *cluster) startOutsider(ctx context.Context, going *sync.WaitGroup) {
	going.Go(func() { c.sniffer.socket(ctx) })
	going.Go(func() { c.sniffer.stream(ctx) })
	going.Go(func() { c.sniffer.requests(ctx) })
}

// judgeOutsider: what was looked at was given at all.
func (c *cluster) judgeOutsider() {
	for _, way := range []string{"socket me", "socket presence", "socket part", "socket error", "stream me", "stream presence", "stream part", "POST part", "GET /v1/me/rooms", "GET /v1/me/search?q=zap"} {
		if c.sniffer.looked[way] == 0 {
			c.problem("I19: the outsider was never given anything by %s, so it was not put to the test", way)
		}
	}
	c.logf("an outsider looked: %v", c.sniffer.looked)
}
