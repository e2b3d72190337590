package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"roomlog/history"
)

func (f *follower) overStream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.door()+"/v1/sse?room="+url.QueryEscape(f.room), nil)
	if err != nil {
		return err
	}
	f.renew()
	req.Header.Set("Authorization", "Bearer "+f.token)
	req.Header.Set("Accept", "text/event-stream")
	if f.position != "" {
		req.Header.Set("Last-Event-ID", f.position)
	}
	f.rec.joins(f)
	silence := time.AfterFunc(2*quiet, cancel)
	defer silence.Stop()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return f.statusError("stream", resp.StatusCode)
	}
	// A stream has no probe: one that says nothing is given up and asked for again, which costs nothing
	// but a request.
	return readStream(resp.Body, func() { silence.Reset(2 * quiet) }, func(name, id, data string) error {
		switch name {
		case "page":
			var p page
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				return err
			}
			if id != p.Position {
				return breach(fmt.Sprintf("SSE-4: the id %q of a page is not its position %q", id, p.Position))
			}
			f.take(p, history.ViaLive)
		case "reset":
			var r frame
			if err := json.Unmarshal([]byte(data), &r); err != nil {
				return err
			}
			f.position, f.seq = id, seqOf(id)
			f.rec.reset(f, r.Reason, r.page)
		}
		return nil
	}, func(ms int64) {
		f.back = ms
		f.rec.end(f, "retry")
	})
}

// followStream gives each event of a stream to dispatch, behind a position ("": from where the server begins), until the stream ends.
func followStream(ctx context.Context, address, token, position string, dispatch func(name, id, data string) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if position != "" {
		req.Header.Set("Last-Event-ID", position)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return statusError("stream", resp.StatusCode)
	}
	return readStream(resp.Body, func() {}, dispatch, func(int64) {})
}

// readStream reads text/event-stream (WHATWG HTML 9.2) as far as this server writes it. retry is told of the last
// words of a stream whose server stops (SSE-10).
func readStream(body io.Reader, alive func(), dispatch func(name, id, data string) error, retry func(ms int64)) error {
	lines := bufio.NewReaderSize(body, 64<<10)
	var name, id, data string
	for told := 0; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		alive()
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != "" {
				if err := dispatch(name, id, data); err != nil {
					return err
				}
			}
			name, data = "", ""
		case field == "event":
			name = value
		case field == "id":
			id = value
		case field == "data":
			data += value
		case field == "retry":
			if told++; told == 1 {
				continue // of its beginning
			}
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				retry(ms)
			}
		}
	}
}

func (f *follower) overPolls(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * quiet}
	f.renew()
	f.rec.joins(f)
	for {
		u := fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%s&limit=%d&wait=1", f.door(), f.room, url.QueryEscape(f.position), 1+f.rng.IntN(200))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+f.token)
		ask := asked(f.name, f.at, f.transport, f.room, false)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		var answer struct {
			page
			Reason string `json:"reason"` // of a reset
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		switch {
		case err != nil && resp.StatusCode == http.StatusGone: // cut off
			return err
		case resp.StatusCode == http.StatusGone:
			f.rec.reset(f, answer.Reason, answer.page)
			f.rejoin(answer.page)
			continue
		case resp.StatusCode != http.StatusOK:
			return f.statusError("poll", resp.StatusCode)
		case err != nil:
			return err
		}
		f.rec.head(ask, answer.Epoch, answer.Head)
		f.take(answer.page, history.ViaPoll)
	}
}

// rejoin begins again after a 410: a poll has no latest page of its own, so it goes on at the floor (RESET-3).
func (f *follower) rejoin(p page) {
	f.position, f.seq = fmt.Sprintf("%s:%d", p.Epoch, max(p.Floor-1, 0)), max(p.Floor-1, 0)
	f.rec.joins(f)
}
