package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// sendCommand sends one event.
type sendCommand struct {
	Room    string        `arg:"" help:"Room, such as chat:general."`
	Text    string        `arg:"" optional:"" help:"Text of a message; its data is {\"text\": TEXT}."`
	Data    string        `placeholder:"JSON" xor:"text" help:"Data of the event, in place of TEXT."`
	Type    string        `default:"message" help:"Type of the event."`
	Tag     string        `placeholder:"UUID" help:"Tag of the send; made where left out. A repeat with the same tag returns the first result."`
	Timeout time.Duration `default:"30s" help:"How long to try again while the server cannot answer."`
	remoteFlags
}

// Run sends until the server answers for good, always with the same tag, so that the event is stored
// once however often it is tried; then prints the stored event as one line of JSON.
func (s *sendCommand) Run(c *console) error {
	body, err := s.body()
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	server, err := s.open(ctx)
	if err != nil {
		return err
	}
	var stored json.RawMessage
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		_, err := server.call(ctx, 0, http.MethodPost, events(s.Room), body, &stored)
		if err == nil {
			_, err = fmt.Fprintf(c.out, "%s\n", stored)
			return err
		}
		wait, retry := again(err, pause)
		if !retry {
			return err
		}
		fmt.Fprintf(c.err, "roomlog: %s; trying again\n", oneLine(err))
		if rest(ctx, wait) != nil {
			return fmt.Errorf("gave up after %v; the event may or may not be stored: repeat with --tag %s: %w", s.Timeout, body.Tag, err)
		}
	}
}

// outgoing is the body of a send.
type outgoing struct {
	Tag  string          `json:"tag"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

func (s *sendCommand) body() (outgoing, error) {
	out := outgoing{Tag: s.Tag, Type: s.Type, Data: json.RawMessage(s.Data)}
	switch {
	case s.Text != "" && s.Data != "":
		return out, fmt.Errorf("give TEXT or --data, not both")
	case s.Text == "" && s.Data == "":
		return out, fmt.Errorf("give the TEXT of a message, or --data JSON")
	case s.Data != "" && !json.Valid(out.Data):
		return out, fmt.Errorf("--data is not JSON")
	case s.Text != "":
		text, err := marshal(map[string]string{"text": s.Text})
		if err != nil {
			return out, fmt.Errorf("write the text: %w", err)
		}
		out.Data = text
	}
	if out.Tag == "" {
		tag, err := uuid.NewV7()
		if err != nil {
			return out, fmt.Errorf("make a tag: %w", err)
		}
		out.Tag = tag.String()
	}
	return out, nil
}
