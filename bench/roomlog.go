package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// roomlogTarget is this project's server on a store: `sqlite`, or the URL of a PostgreSQL database.
type roomlogTarget struct {
	binary, store string
	bus           *busOf // nil: it is the only node
}

func (t roomlogTarget) name() string { return "roomlog on " + storeName(t.store) }

func (t roomlogTarget) can() ability {
	able := resumes | restarts | streams | tells | durable
	if strings.HasPrefix(t.store, "postgres") {
		able |= onPostgres | clusters
	}
	return able
}

func (t roomlogTarget) built() error { return nil }

// start runs `binary dev`, on a file of its own or on the database.
func (t roomlogTarget) start(ctx context.Context) (server, error) {
	s, err := t.serve(ctx)
	if err != nil {
		return nil, err // not a server that is nil inside
	}
	return s, nil
}

func (t roomlogTarget) serve(ctx context.Context) (*roomlog, error) {
	s := &roomlog{target: t}
	var err error
	s.process, err = startProcess(ctx, t.command, func(ctx context.Context, addr string) error {
		var health struct{}
		return get(ctx, addr, "/healthz", "", &health)
	})
	return s, err
}

func (t roomlogTarget) command(addr, dir string) *exec.Cmd {
	store := t.store
	if store == "sqlite" {
		store = "sqlite:" + filepath.Join(dir, "roomlog.db")
	}
	cmd := exec.Command(t.binary, "dev", "--listen", addr, "--store", store)
	if t.bus != nil {
		cmd.Args = append(cmd.Args, "--bus", t.bus.url, "--cluster", t.bus.cluster)
		cmd.Env = append(os.Environ(), "ROOMLOG_CLUSTER_KEY="+t.bus.key)
	}
	return cmd
}

// storeName keeps a database's password out of what is printed.
func storeName(store string) string {
	name, _, _ := strings.Cut(store, ":")
	return strings.Replace(name, "postgresql", "postgres", 1)
}

// roomlog is a server of this project that runs.
type roomlog struct {
	*process
	target roomlogTarget
}

// get asks for a path with a token, if any, and decodes the answer.
func get(ctx context.Context, addr, path, token string, into any) error {
	text, err := getText(ctx, addr, path, token)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func getText(ctx context.Context, addr, path, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %.200s", path, resp.StatusCode, text)
	}
	return text, err
}

// token asks the server for a development token.
func (s *roomlog) token(ctx context.Context, user string) (string, error) {
	var body struct{ Token string }
	err := get(ctx, s.addr, "/v1/dev/token?user="+user, "", &body)
	return body.Token, err
}

// heads gives the newest seq of each room, as the store has it.
func (s *roomlog) heads(ctx context.Context, rooms []string) ([]int64, error) {
	token, err := s.token(ctx, sameUser(0))
	if err != nil {
		return nil, err
	}
	heads := make([]int64, len(rooms))
	for i, room := range rooms {
		var page struct{ Head int64 }
		if err := get(ctx, s.addr, "/v1/rooms/"+room+"/events?limit=1", token, &page); err != nil {
			return nil, err
		}
		heads[i] = page.Head
	}
	return heads, nil
}

// metric adds up the series of the server's metric of that name.
func (s *roomlog) metric(ctx context.Context, name string) (float64, error) {
	text, err := getText(ctx, s.addr, "/metrics", "")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("the server has no metric %s", name)
	}
	return sum, nil
}

func (s *roomlog) path(*client) string { return "/v1/ws" }

func (s *roomlog) hello(c *client) error {
	if err := c.write(`{"op":"hello","token":"` + c.token + `"}`); err != nil || c.room == "" {
		return err
	}
	from := ""
	if c.position != "" {
		from = `,"position":"` + c.position + `"`
	}
	return c.write(`{"op":"join","id":1,"room":"` + c.room + `"` + from + c.beside + `}`)
}

func (s *roomlog) publish(b []byte, _ *client, e *send) []byte {
	b = strconv.AppendInt(append(b, `{"op":"send","id":`...), e.n, 10)
	b = strconv.AppendInt(append(b, `,"n":`...), e.n, 10)
	b = append(append(b, `,"room":"`...), e.room...)
	b = append(append(b, `","tag":"`...), e.tag...)
	b = append(append(b, `","type":"message","data":`...), e.data...)
	return append(b, '}')
}

// refusal is an error frame.
type refusal struct{ frame string }

func (r *refusal) Error() string { return "refused: " + r.frame }

// of reports whether the refusal is by one of the codes.
func (r *refusal) of(codes ...string) bool {
	for _, code := range codes {
		if strings.Contains(r.frame, `"code":"`+code+`"`) {
			return true
		}
	}
	return false
}

// look follows the pages: each must begin where the last one ended, and hold every event up to its end.
func (s *roomlog) look(c *client, frame []byte) error {
	op := func(name string) bool { return bytes.HasPrefix(frame, []byte(name)) }
	switch {
	case op(`{"op":"page"`):
		return lookPage(c, frame)
	case op(`{"op":"ack"`):
		seq, _, err := field(frame, `"seq":`)
		if err != nil {
			return err
		}
		c.acked(seq)
	case op(`{"op":"ping"`):
		return c.write(`{"op":"pong"}`)
	case op(`{"op":"welcome"`):
		c.entered = c.entered || c.room == ""
	case op(`{"op":"joined"`):
		return lookJoined(c, frame)
	case op(`{"op":"error"`), op(`{"op":"reset"`):
		return &refusal{string(frame)}
	}
	return nil
}

func lookPage(c *client, frame []byte) error {
	prev, seq, err := span(frame)
	if err != nil {
		return err
	}
	if err := c.follows(prev, seq); err != nil {
		return err
	}
	return c.stands(frame)
}

// lookJoined places the client; one that came with a position must go on from there.
func lookJoined(c *client, frame []byte) error {
	prev, seq, err := span(frame)
	if err != nil {
		return err
	}
	if bytes.Contains(frame, []byte(`"reset":`)) {
		return &refusal{string(frame)}
	}
	if c.position == "" {
		c.seq = prev
	}
	if err := c.follows(prev, seq); err != nil {
		return err
	}
	c.entered = true
	return c.stands(frame)
}

// stands keeps the position that a page ends with, in the place of the last one, where it is kept.
func (c *client) stands(frame []byte) error {
	if !c.keeps {
		return nil
	}
	const name = `"position":"`
	at := bytes.Index(frame, []byte(name))
	if at < 0 {
		return errors.New("a page without position")
	}
	rest := frame[at+len(name):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return errors.New("a page without position")
	}
	c.position = string(rest[:end])
	return nil
}

// span gives what the page in a frame covers, after checking that it holds each event of it once and in
// order. The events of the bench hold nothing that looks like a field of ours.
func span(frame []byte) (prev, seq int64, err error) {
	prev, rest, err := field(frame, `"prev":`)
	if err != nil {
		return 0, 0, err
	}
	seq, rest, err = field(rest, `"seq":`)
	if err != nil {
		return 0, 0, err
	}
	for want := prev + 1; want <= seq; want++ {
		var got int64
		if got, rest, err = field(rest, `"seq":`); err != nil || got != want {
			return 0, 0, fmt.Errorf("a page of (%d, %d] has event %d where %d is due (%v)", prev, seq, got, want, err)
		}
	}
	if bytes.Contains(rest, []byte(`"seq":`)) {
		return 0, 0, fmt.Errorf("a page of (%d, %d] holds more events than that", prev, seq)
	}
	return prev, seq, nil
}
