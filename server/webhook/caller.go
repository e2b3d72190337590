// Package webhook asks and tells an app's own server over HTTP. [Gate] asks about a send before it is stored;
// [Engine] delivers what was stored, a cursor over the log for each room. Both sign by Standard Webhooks,
// call judged addresses only (see [Guard]) and follow no redirect.
//
// No error and no log line of this package holds a secret, the data of an event, the body of an answer, or the
// path and query of a URL.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Endpoint is where a hook is called, and how.
type Endpoint struct {
	Name    string        // of the hook: for operators, metrics and logs
	URL     string        // https, or http where the guard allows the address
	Secret  Secret        // what deliveries are signed with
	Timeout time.Duration // of one call; default 5 s
	Conns   int           // calls at a time; default 32

	// Resolver resolves the URL's host; nil is the system's. For tests.
	Resolver *net.Resolver
}

func (e *Endpoint) withDefaults() {
	if e.Timeout <= 0 {
		e.Timeout = 5 * time.Second
	}
	if e.Conns <= 0 {
		e.Conns = 32
	}
}

// caller makes the calls of one endpoint. It may be used concurrently.
type caller struct {
	endpoint  Endpoint
	url       *url.URL
	http      http.Client
	transport *http.Transport
	slots     chan struct{}
	now       func() time.Time
	counts    calls
}

func newCaller(e Endpoint, g Guard) (*caller, error) {
	e.withDefaults()
	u, err := g.CheckURL(e.URL)
	if err != nil {
		return nil, err
	}
	t := g.transport(u, e.Conns, e.Resolver)
	return &caller{
		endpoint: e, url: u, transport: t, slots: make(chan struct{}, e.Conns), now: time.Now,
		http: http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// close lets go of idle connections; no call is under way.
func (c *caller) close() { c.transport.CloseIdleConnections() }

// failure says why a call did not get a good answer: in a few words, for logs, operators and the log of a hook.
type failure struct {
	words string
	after time.Duration // how long the other side asked to be left alone; 0: it did not say
	cause error
}

func (f *failure) Error() string { return f.words }
func (f *failure) Unwrap() error { return f.cause }

// maxAnswer is the most of an answer that is read: an event may be in it.
const maxAnswer = 64 << 10

// post makes one signed call and returns the body of a 2xx answer, of at most most bytes. It waits its turn
// where as many calls as may be are under way; turn and call together take at most twice the timeout. The
// error is a *failure, or that of ctx.
func (c *caller) post(ctx context.Context, id string, body []byte, most int) (answer []byte, err error) {
	began := c.now()
	defer func() { c.counts.add(c.now().Sub(began), err) }()
	turn := time.NewTimer(c.endpoint.Timeout)
	defer turn.Stop()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-turn.C:
		return nil, &failure{words: "as many calls of this hook as may be are under way"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, c.endpoint.Timeout)
	defer cancel()
	answer, err = c.exchange(bounded, id, body, most)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return answer, err
}

func (c *caller) exchange(ctx context.Context, id string, body []byte, most int) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &failure{words: "the request cannot be made"}
	}
	at := c.now()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "roomlog")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("webhook-signature", c.endpoint.Secret.Sign(id, at, body))
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		// The connection is good for another call only when the answer is at its end.
		_, _ = io.CopyN(io.Discard, resp.Body, maxHeader)
		return nil, refused(resp, c.now())
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, explain(err)
	case len(answer) > most:
		return nil, &failure{words: fmt.Sprintf("its answer has more than %d bytes", most)}
	}
	return answer, nil
}

// refused is a status that is not 2xx. A redirect is one of them: whoever may choose where we are sent may
// choose an address behind our walls.
func refused(resp *http.Response, at time.Time) *failure {
	f := &failure{words: "it answered with status " + strconv.Itoa(resp.StatusCode)}
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		f.words += "; redirects are not followed"
	}
	f.after = retryAfter(resp.Header.Get("Retry-After"), at)
	return f
}

// retryAfter is how long a Retry-After (RFC 9110, 10.2.3) that came at a time asks to be left alone: seconds or
// a date; 0: it does not say. More than maxPause is that.
func retryAfter(text string, at time.Time) time.Duration {
	if s, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(s, uint64(maxPause/time.Second))) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(until.Sub(at), 0), maxPause)
}

// explain says what went wrong with a call without the URL, which net/http would name.
func explain(err error) *failure {
	var named *url.Error
	if errors.As(err, &named) {
		err = named.Err
	}
	var name *net.DNSError
	switch {
	case errors.Is(err, ErrBlocked):
		return &failure{words: "its address is not allowed: it is not public, or would be called by plain http", cause: ErrBlocked}
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return &failure{words: "it did not answer in time"}
	case errors.As(err, &name):
		return &failure{words: "its host cannot be resolved"}
	case isTLS(err):
		return &failure{words: "its certificate cannot be trusted"}
	}
	return &failure{words: "it cannot be reached"}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
