package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// remoteFlags say which server to talk to, and as whom.
type remoteFlags struct {
	URL   string `name:"url" default:"http://127.0.0.1:8080" env:"ROOMLOG_URL" help:"The server."`
	Token string `env:"ROOMLOG_TOKEN" placeholder:"TOKEN" help:"Token to come with; without it a dev server on this machine is asked for one. Prefer the environment: others on this machine can read a command line."`
	User  string `placeholder:"NAME" help:"Who to be when the token comes from a dev server; your own name if left out."`

	patience time.Duration // of a remote; 0: the default
}

// remote is a running server as its HTTP clients see it. Not for concurrent use.
type remote struct {
	base     *url.URL
	token    string
	patience time.Duration // how long an answer may take beyond what was asked for
}

// defaultPatience is several times what the server takes at most: a connection that is silent for as long
// is one that the network has forgotten, and another may get through.
const defaultPatience = 10 * time.Second

// problem is what the server answers in place of a result: application/problem+json.
type problem struct {
	Code       string `json:"code"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Field      string `json:"field"`
	Reason     string `json:"reason"` // of code reset
	Epoch      string `json:"epoch"`
	Floor      int64  `json:"floor"`
	Head       int64  `json:"head"`
	Retryable  bool   `json:"retryable"`
	RetryAfter int64  `json:"retry_after_ms"`
}

// Error is the server's sentence and its code.
func (p *problem) Error() string { return fmt.Sprintf("%s (%s)", p.Title, p.Code) }

// errUnreachable says that no answer came: the request may or may not have been carried out.
var errUnreachable = errors.New("the server does not answer")

// newRemote makes a remote that comes without a token.
func newRemote(address string) (*remote, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, usageError{fmt.Errorf("--url is http://HOST:PORT or https://HOST:PORT, not %q", address)}
	}
	return &remote{base: base, patience: defaultPatience}, nil
}

// open makes a remote; without a token it asks the server for a dev token.
func (f remoteFlags) open(ctx context.Context) (*remote, error) {
	r, err := newRemote(f.URL)
	if err != nil {
		return nil, err
	}
	r.token, r.patience = f.Token, cmp.Or(f.patience, defaultPatience)
	if r.token != "" {
		return r, nil
	}
	var answer struct {
		Token string `json:"token"`
	}
	query := url.Values{"user": {f.user()}}
	if _, err := r.call(ctx, 0, http.MethodGet, "/v1/dev/token?"+query.Encode(), nil, &answer); err != nil {
		var p *problem
		if errors.As(err, &p) && (p.Code == "not_found" || p.Code == "forbidden" || p.Code == notAProblem) {
			return nil, fmt.Errorf("%s gives no dev token: give --token or ROOMLOG_TOKEN (`roomlog token` makes one)", f.URL)
		}
		return nil, err
	}
	r.token = answer.Token
	return r, nil
}

func (f remoteFlags) user() string {
	for _, name := range []string{f.User, os.Getenv("USER"), os.Getenv("LOGNAME")} {
		if name != "" {
			return name
		}
	}
	return "cli"
}

// events is the path of a room's events. The id goes as it is: its characters need no escape in a path.
func events(room string) string { return "/v1/rooms/" + url.PathEscape(room) + "/events" }

// call makes one request and reads the answer into result; wait is how long the server was asked to wait
// with it. A *problem is the server's refusal; an error that is errUnreachable is the want of an answer.
func (r *remote) call(ctx context.Context, wait time.Duration, method, path string, body, result any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait+r.patience)
	defer cancel()
	var payload io.Reader
	if body != nil {
		text, err := marshal(body)
		if err != nil {
			return 0, fmt.Errorf("write the request: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.base.String(), "/")+path, payload)
	if err != nil {
		return 0, fmt.Errorf("make the request: %w", err)
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("%w at %s: %w", errUnreachable, r.base, errors.Unwrap(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, fmt.Errorf("%w at %s: %w", errUnreachable, r.base, err)
	}
	if response.StatusCode >= 300 {
		return response.StatusCode, refusal(response, text)
	}
	if err := json.Unmarshal(text, result); err != nil {
		return response.StatusCode, fmt.Errorf("%s does not answer as a Roomlog server: %w", r.base, err)
	}
	return response.StatusCode, nil
}

// marshal is json.Marshal but for the escapes that HTML would need: an event keeps the text it is sent as.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// notAProblem is the code of an answer that is no problem of a Roomlog server.
const notAProblem = "http"

// refusal reads a problem; an answer that is none (of a proxy in between) is named by its status.
func refusal(response *http.Response, text []byte) error {
	p := &problem{}
	if json.Unmarshal(text, p) != nil || p.Code == "" {
		p = &problem{Code: notAProblem, Title: "The server answers " + response.Status, Retryable: response.StatusCode >= 500}
	}
	p.Status = response.StatusCode
	return p
}

// again reports whether the same request may succeed later, and after which pause.
func again(err error, pause time.Duration) (time.Duration, bool) {
	var p *problem
	if errors.As(err, &p) {
		return max(pause, time.Duration(p.RetryAfter)*time.Millisecond), p.Retryable
	}
	return pause, errors.Is(err, errUnreachable)
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
