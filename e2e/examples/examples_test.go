// Package examples runs the programs under examples/ against the built server, through a proxy that cuts them off,
// and kills them in the middle: what they promise their readers is that nothing is lost and nothing is there twice.
package examples

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"roomlog/chaos"
)

const sends = 400

// follower is a program that copies a room into a file, and how such a file is read.
type follower struct {
	command []string // before ROOM and FILE
	read    func(file string) ([]event, error)
}

// event is an event as a copy has it.
type event struct {
	Seq  int64
	Data struct{ Text string }
}

func followers(t *testing.T) map[string]follower {
	return map[string]follower{
		"python": {command: []string{python(t), root + "/examples/python/follow.py"}, read: readSQLite},
		"go":     {command: []string{filepath.Join(programs, "follow")}, read: readPages},
		"curl":   {command: []string{"bash", root + "/examples/curl/follow.sh"}, read: readTabbed},
	}
}

// A follower that is cut off at random bytes, and killed at random moments, has every event once.
func TestFollowersLoseNothingAndTakeNothingTwice(t *testing.T) {
	for name, f := range followers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := seedOf(t)
			rng := rand.New(rand.NewPCG(seed, 1))
			s := start(t)
			proxy := s.proxy()
			room, file := "chat:"+name, filepath.Join(t.TempDir(), "copy")
			run := s.run(proxy, f.command, room, file)
			for i := range sends {
				s.send(room, strconv.Itoa(i))
				switch {
				case i%40 == 20:
					must(t, proxy.Set(chaos.Fault{Kind: chaos.CutAfter, Direction: chaos.Down, Bytes: 1 + rng.Int64N(3000), Times: 1}))
				case i%100 == 90:
					run.kill()
					run = s.run(proxy, f.command, room, file)
				}
				if i%50 == 0 { // it has come so far, whatever happened before
					eventually(t, func() (bool, string) { return hasAll(f, file, 1) })
				}
			}
			must(t, proxy.Set(chaos.Fault{Kind: chaos.Healthy}))
			eventually(t, func() (bool, string) { return hasAll(f, file, sends) })
			run.kill()
			got, err := f.read(file)
			must(t, err)
			for i, e := range got {
				if e.Seq != int64(i+1) || e.Data.Text != strconv.Itoa(i) {
					t.Fatalf("seed %d: entry %d of the copy is seq %d, %q", seed, i, e.Seq, e.Data.Text)
				}
			}
			if len(got) != sends {
				t.Errorf("seed %d: the copy has %d events, the room %d", seed, len(got), sends)
			}
		})
	}
}

// A follower of a room that is deleted drops what it has, and has what is sent to the room afterwards.
func TestFollowersBeginAnewAfterAReset(t *testing.T) {
	for name, f := range followers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			proxy := s.proxy()
			room, file := "chat:"+name, filepath.Join(t.TempDir(), "copy")
			s.send(room, "old")
			s.send(room, "old, too")
			run := s.run(proxy, f.command, room, file)
			defer run.kill()
			eventually(t, func() (bool, string) { return hasAll(f, file, 2) })
			s.call(http.MethodDelete, "/v1/rooms/"+room, nil, http.StatusOK, nil)
			s.send(room, "new")
			eventually(t, func() (bool, string) {
				got, err := f.read(file)
				return err == nil && len(got) == 1 && got[0].Seq == 1 && got[0].Data.Text == "new", fmt.Sprint(got, err)
			})
		})
	}
}

// hasAll says whether a copy has at least so many events.
func hasAll(f follower, file string, want int) (bool, string) {
	got, err := f.read(file)
	return err == nil && len(got) >= want, fmt.Sprintf("the copy has %d events, not %d yet; %v", len(got), want, err)
}

// send.py, cut off at random bytes, killed and run again, has stored every line once and in order.
func TestTheSenderStoresEveryLineOnce(t *testing.T) {
	const room, lines = "chat:lines", 60
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 2))
	s := start(t)
	proxy := s.proxy()
	file := filepath.Join(t.TempDir(), "lines.txt")
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "line %d — ünïcode\n", i)
	}
	must(t, os.WriteFile(file, []byte(text.String()), 0o600))
	command := []string{python(t), root + "/examples/python/send.py"}
	for _, until := range []int64{10, 30} {
		run := s.run(proxy, command, room, file)
		cutAt := int64(-1)
		eventually(t, func() (bool, string) {
			// One cut for each line that was stored: a sender that is cut at every try doubles its wait each time.
			head := s.head(room)
			if head != cutAt {
				cutAt = head
				must(t, proxy.Set(chaos.Fault{Kind: chaos.CutAfter, Direction: chaos.Down, Bytes: 1 + rng.Int64N(1500), Times: 1}))
			}
			return head >= until, fmt.Sprintf("seed %d: head is %d, not %d yet", seed, head, until)
		})
		run.kill()
	}
	must(t, proxy.Set(chaos.Fault{Kind: chaos.Healthy}))
	last := s.run(proxy, command, room, file)
	must(t, last.wait())
	if !strings.Contains(last.out.String(), "1 again\n") || !strings.Contains(last.out.String(), fmt.Sprintf("%d new\n", lines)) {
		t.Errorf("seed %d: the last run printed\n%s", seed, last.out.String())
	}
	for i, e := range s.log(room) {
		if want := fmt.Sprintf("line %d — ünïcode", i); e.Data.Text != want || e.Seq != int64(i+1) {
			t.Fatalf("seed %d: seq %d is %q, not %q", seed, e.Seq, e.Data.Text, want)
		}
	}
	if head := s.head(room); head != lines {
		t.Errorf("seed %d: %d events for %d lines", seed, head, lines)
	}
}

// send.sh with one tag twice is one event, also where the first answer is lost.
func TestTheShellSendsOnce(t *testing.T) {
	const room = "chat:shell"
	s := start(t)
	proxy := s.proxy()
	command, tag := []string{"bash", root + "/examples/curl/send.sh"}, uuid.NewString()
	must(t, proxy.Set(chaos.Fault{Kind: chaos.CutAfter, Direction: chaos.Down, Bytes: 20, Times: 1}))
	for _, want := range []string{`"seq":1`, `"duplicate":true`} {
		run := s.run(proxy, command, room, `{"text":"hello"}`, tag)
		must(t, run.wait())
		if !strings.Contains(run.out.String(), want) {
			t.Errorf("printed %s, without %s", run.out.String(), want)
		}
	}
	if head := s.head(room); head != 1 {
		t.Errorf("stored %d times", head)
	}
}

// A producer that is cut off at random bytes posts every point once, in order.
func TestProducersPostEveryPointOnce(t *testing.T) {
	const points = 30
	for name, command := range map[string][]string{
		"python": {python(t), root + "/examples/python/produce.py"},
		"go":     {filepath.Join(programs, "produce")},
		"curl":   {"bash", root + "/examples/curl/produce.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := seedOf(t)
			rng := rand.New(rand.NewPCG(seed, 3))
			s := start(t)
			proxy := s.proxy()
			room := "feed:" + name
			run := s.run(proxy, append([]string{"env", "EVERY=0.02"}, command...), room, strconv.Itoa(points))
			cutAt := int64(-1)
			eventually(t, func() (bool, string) {
				head := s.head(room)
				if head >= cutAt+5 { // each cut costs curl a second
					cutAt = head
					must(t, proxy.Set(chaos.Fault{Kind: chaos.CutAfter, Direction: chaos.Down, Bytes: 1 + rng.Int64N(600), Times: 1}))
				}
				return head >= points*2/3, fmt.Sprintf("seed %d: head is %d", seed, head)
			})
			must(t, proxy.Set(chaos.Fault{Kind: chaos.Healthy}))
			must(t, run.wait())
			var page struct {
				Events []struct {
					Type string
					Data struct {
						T int64
						V map[string]float64
					}
				}
			}
			s.call(http.MethodGet, "/v1/rooms/"+room+"/events?limit=500", nil, http.StatusOK, &page)
			last := int64(0)
			for i, e := range page.Events {
				if e.Type != "point" || e.Data.T < last || len(e.Data.V) != 2 {
					t.Fatalf("seed %d: event %d is %+v", seed, i, e)
				}
				last = e.Data.T
			}
			if len(page.Events) != points {
				t.Errorf("seed %d: %d events for %d points", seed, len(page.Events), points)
			}
		})
	}
}

// The tokens that the examples sign are taken, for what they grant and nothing else.
func TestSignedTokensAreTaken(t *testing.T) {
	key := strings.Repeat("k3Y-", 4) + uuid.NewString()
	s := start(t, "--key", key)
	for name, command := range map[string][]string{
		"python": {python(t), root + "/examples/token/token.py"},
		"node":   {"node", root + "/examples/token/token.mjs"},
		"go":     {filepath.Join(programs, "go")},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(command[0], append(command[1:], "mira")...)
			cmd.Env = append(os.Environ(), "ROOMLOG_KEY="+key)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			must(t, err)
			s.bearer = strings.TrimSpace(string(out))
			var stored struct{ Author string }
			body := map[string]any{"tag": uuid.NewString(), "type": "message", "data": map[string]string{"text": name}}
			s.call(http.MethodPost, "/v1/rooms/chat:signed/events", body, http.StatusCreated, &stored)
			if stored.Author != "mira" {
				t.Errorf("the author is %q", stored.Author)
			}
			s.call(http.MethodGet, "/v1/rooms/board:signed/events", nil, http.StatusNotFound, nil)
		})
	}
}

// The backend of the quickstart gives tokens that are taken, and none to nobody.
func TestTheBackendGivesTokens(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(key, []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600)) // as openssl writes one
	s := start(t, "--key-file", key)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	must(t, free.Close())
	cmd := exec.Command("sh", "-c", `ROOMLOG_KEY=$(cat "$1") PORT="$2" exec node `+root+`/examples/token/backend.mjs`, "sh", key, port)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the backend prints no address")
	}
	for query, want := range map[string]int{"": http.StatusUnauthorized, "?user=ann": http.StatusOK} {
		resp, err := http.Get(lines.Text() + "/token" + query)
		must(t, err)
		defer resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("/token%s: status %d, want %d", query, resp.StatusCode, want)
		}
		if want == http.StatusOK {
			token, err := io.ReadAll(resp.Body)
			must(t, err)
			s.bearer = string(token)
			s.send("chat:signed", "hello")
		}
	}
}

var pythonBlock = regexp.MustCompile("(?ms)^```python[^\n]*\n(.*?)^```$")

// The Python that the documents show compiles.
func TestPythonInTheDocumentsCompiles(t *testing.T) {
	names, err := filepath.Glob(root + "/docs/*.md")
	must(t, err)
	seen := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		must(t, err)
		for _, block := range pythonBlock.FindAllSubmatch(text, -1) {
			seen++
			cmd := exec.Command(python(t), "-c", "import sys; compile(sys.stdin.read(), sys.argv[1], 'exec')", name)
			cmd.Stdin = bytes.NewReader(block[1])
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s\n%s", err, out, block[1])
			}
		}
	}
	if seen < 4 {
		t.Errorf("found only %d blocks", seen)
	}
}

// Every code of the spec, the client's included, has its place on the page that errors link to.
func TestErrorsLinkToTheirExplanation(t *testing.T) {
	var file struct {
		Codes       []struct{ Code string }
		ClientCodes []struct{ Code string } `json:"client_codes"`
	}
	text, err := os.ReadFile(root + "/spec/errors.json")
	must(t, err)
	must(t, json.Unmarshal(text, &file))
	s := start(t)
	var problem struct{ Type string }
	s.call(http.MethodGet, "/v1/rooms/nonsense", nil, http.StatusBadRequest, &problem)
	page, anchor, _ := strings.Cut(problem.Type, "#")
	if anchor != "bad_room" {
		t.Errorf("the problem's type is %q", problem.Type)
	}
	resp, err := http.Get(s.url + page)
	must(t, err)
	defer resp.Body.Close()
	var shown bytes.Buffer
	_, err = shown.ReadFrom(resp.Body)
	must(t, err)
	for _, c := range slices.Concat(file.Codes, file.ClientCodes) {
		if !strings.Contains(shown.String(), `id="`+c.Code+`"`) {
			t.Errorf("%s does not explain %s", page, c.Code)
		}
	}
}

func readSQLite(file string) ([]event, error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: file, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query("select seq, data from events order by seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []event
	for rows.Next() {
		var e event
		var data string
		if err := rows.Scan(&e.Seq, &data); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// readPages reads lines of pages. A last line without an end is being written.
func readPages(file string) ([]event, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []event
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var page struct {
			Reason string
			Events []event
		}
		if err := json.Unmarshal(line, &page); err != nil {
			return nil, err
		}
		if page.Reason != "" {
			all = nil
		}
		all = append(all, page.Events...)
	}
	return all, nil
}

// readTabbed reads lines of a position, a tab and a page.
func readTabbed(file string) ([]event, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var pages strings.Builder
	for line := range strings.Lines(string(text)) {
		_, page, found := strings.Cut(line, "\t")
		if !found {
			break
		}
		pages.WriteString(page)
	}
	copied := file + ".pages"
	if err := os.WriteFile(copied, []byte(pages.String()), 0o600); err != nil {
		return nil, err
	}
	return readPages(copied)
}

// eventually asks until it is so; what it says last is the failure.
func eventually(t *testing.T, so func() (bool, string)) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, said := so()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(said)
		}
	}
}

// seedOf draws the seed of a test, or takes EXAMPLES_SEED, and says it.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("EXAMPLES_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("EXAMPLES_SEED=%d", seed)
	return seed
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
