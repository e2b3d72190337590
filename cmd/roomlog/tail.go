package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tailCommand follows a room by long polling: the same pages every other client reads.
type tailCommand struct {
	Room  string `arg:"" help:"Room, such as chat:general."`
	From  string `placeholder:"POSITION" help:"Position after which to start, such as 412 or the position of a page; 0 is the beginning, left out the latest page."`
	Limit int    `default:"100" help:"Events per page, at most 500."`
	Count int    `placeholder:"N" help:"End after so many events."`
	JSON  bool   `name:"json" help:"Print each event as one line of JSON."`
	remoteFlags
}

// page is a page of events as polling answers it.
type page struct {
	Epoch    string  `json:"epoch"`
	Head     int64   `json:"head"`
	Position string  `json:"position"`
	Events   []event `json:"events"`
}

// event is one event, and the text it came as.
type event struct {
	Seq    int64           `json:"seq"`
	Type   string          `json:"type"`
	Author string          `json:"author"`
	At     time.Time       `json:"at"`
	Data   json.RawMessage `json:"data"`
	changes

	text json.RawMessage
}

// UnmarshalJSON keeps the text beside the fields.
func (e *event) UnmarshalJSON(text []byte) error {
	type fields event
	if err := json.Unmarshal(text, (*fields)(e)); err != nil {
		return err
	}
	e.text = append(json.RawMessage(nil), text...)
	return nil
}

// pollWait is how long one poll waits for an event, in seconds; the protocol allows 55.
const pollWait = 25

// Run prints events until it is interrupted or has printed Count of them. A server that is away is
// waited for; a position that cannot be continued is said, and the latest page starts anew.
func (t *tailCommand) Run(c *console) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	server, err := t.open(ctx)
	if err != nil {
		return err
	}
	f := &follower{tail: t, server: server, console: c, position: t.From, started: t.From != ""}
	first := 250 * time.Millisecond
	for pause := first; ctx.Err() == nil && (t.Count == 0 || f.printed < t.Count); {
		err := f.step(ctx)
		if err == nil {
			pause = first
			continue
		}
		wait, retry := again(err, pause)
		if ctx.Err() != nil {
			return nil
		}
		if !retry {
			return err
		}
		fmt.Fprintf(c.err, "roomlog: %s; trying again\n", oneLine(err))
		pause = min(2*pause, 5*time.Second)
		_ = rest(ctx, wait) // the loop looks at ctx
	}
	return nil
}

// follower is a tail in progress.
type follower struct {
	tail     *tailCommand
	server   *remote
	console  *console
	position string // where it stands
	started  bool   // position is good to read after
	printed  int
}

// step reads one page and prints it.
func (f *follower) step(ctx context.Context) error {
	wait := 0
	query := url.Values{"limit": {strconv.Itoa(f.tail.Limit)}}
	if f.started {
		query.Set("after", f.position)
		wait = pollWait
		query.Set("wait", strconv.Itoa(wait))
	} else { // no seq is above 2^53-1, so this is the latest page
		query.Set("before", strconv.FormatInt(1<<53-1, 10))
	}
	var p page
	_, err := f.server.call(ctx, time.Duration(wait)*time.Second, http.MethodGet, events(f.tail.Room)+"?"+query.Encode(), nil, &p)
	var refused *problem
	if errors.As(err, &refused) && refused.Code == "reset" {
		f.started = false
		return f.sayReset(refused)
	}
	if err != nil {
		return err
	}
	if p.Position == "" {
		return fmt.Errorf("%s does not answer as a Roomlog server: a page without a position", f.server.base)
	}
	f.position, f.started = p.Position, true
	for _, e := range p.Events {
		if err := f.print(e); err != nil {
			return err
		}
		if f.printed++; f.printed == f.tail.Count {
			break
		}
	}
	return nil
}

func (f *follower) sayReset(p *problem) error {
	if f.tail.JSON {
		text, err := json.Marshal(map[string]any{"reset": p.Reason, "epoch": p.Epoch, "floor": p.Floor, "head": p.Head})
		if err != nil {
			return fmt.Errorf("write the reset: %w", err)
		}
		_, err = fmt.Fprintf(f.console.out, "%s\n", text)
		return err
	}
	_, err := fmt.Fprintf(f.console.out, "— reset (%s): %s cannot be continued; the room holds %d to %d, the latest page follows —\n",
		p.Reason, f.position, p.Floor, p.Head)
	return err
}

func (f *follower) print(e event) error {
	if f.tail.JSON {
		_, err := fmt.Fprintf(f.console.out, "%s\n", e.text)
		return err
	}
	_, err := fmt.Fprintf(f.console.out, "%d  %s  %s  %s  %s\n",
		e.Seq, e.At.Local().Format("2006-01-02 15:04:05"), printable(e.Author), e.Type, printable(body(e)))
	return err
}

// printable escapes what would move a terminal's cursor or hide text: what people send is not trusted.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}
