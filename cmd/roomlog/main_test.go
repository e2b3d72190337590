package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"roomlog/child"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"roomlog": main})
}

// The command line as its users see it: each script is one subject.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			address, err := freeAddress()
			e.Setenv("ADDRESS", address)
			e.Setenv("ROOMLOG_URL", "http://"+address)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a race build would sleep a second at each exit
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "one-line": oneLineOf, "hangup": hangup, "logged": logged},
	})
}

// freeAddress is a loopback address on which nothing listens now.
func freeAddress() (string, error) {
	port, err := child.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// ready waits until the server at $ADDRESS answers: on /readyz, or on the path that is given.
func ready(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		s.Fatalf("usage: ready [path]")
	}
	path := "/readyz"
	if len(args) == 1 {
		path = args[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Getenv("ADDRESS")+path, nil)
		s.Check(err)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if rest(ctx, 20*time.Millisecond) != nil { // the pace of asking, not what is waited for
			s.Fatalf("the server at %s does not answer", s.Getenv("ADDRESS"))
		}
	}
}

// hangup sends SIGHUP to what the script runs in the background.
func hangup(s *testscript.TestScript, _ bool, _ []string) {
	for _, c := range s.BackgroundCmds() {
		s.Check(c.Process.Signal(syscall.SIGHUP))
	}
}

// logged waits until a file holds a text.
func logged(s *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		s.Fatalf("usage: logged file text")
	}
	for range 1000 {
		if strings.Contains(s.ReadFile(args[0]), args[1]) {
			return
		}
		time.Sleep(20 * time.Millisecond) // the pace of looking, not what is waited for
	}
	s.Fatalf("%s does not say %q but %q", args[0], args[1], s.ReadFile(args[0]))
}

// oneLineOf checks that stderr is one line that begins with the program's name.
func oneLineOf(s *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		s.Fatalf("usage: one-line stderr")
	}
	text := s.ReadFile(args[0])
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "roomlog: ") {
		s.Fatalf("not one line of roomlog: %q", text)
	}
}

const documentPath = "../../docs/configuration.md"

const (
	tableBegins = "<!-- flags: written by `go test ./cmd/roomlog -run TestConfigurationDocument -update` -->\n"
	tableEnds   = "<!-- end of flags -->\n"
)

// docs/configuration.md lists every flag of serve with its names, default and meaning, as they are.
func TestConfigurationDocument(t *testing.T) {
	text, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !found || !ended {
		t.Fatalf("%s has no place for the flags", documentPath)
	}
	want := before + tableBegins + flagTable(t) + tableEnds + after
	if *update {
		if err := os.WriteFile(documentPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is not what the flags are; -update writes it anew", documentPath)
	}
}

func flagTable(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	fmt.Fprintln(&out, "\n| key | environment | default | |\n|---|---|---|---|")
	for _, f := range command(t, "serve").Flags {
		if f.Name == "config" || f.Name == "help" {
			continue
		}
		help := strings.ReplaceAll(f.Help, "|", `\|`)
		fmt.Fprintf(&out, "| `%s` | `%s` | %s | %s |\n", f.Name, strings.Join(f.Envs, " "), quoted(f.Default), help)
	}
	fmt.Fprintln(&out)
	return out.String()
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// Every key has one name spelled three ways, and dev and serve have the same keys.
func TestKeysHaveOneNameSpelledThreeWays(t *testing.T) {
	dev, serve := command(t, "dev"), command(t, "serve")
	if len(dev.Flags) != len(serve.Flags) {
		t.Errorf("dev has %d flags, serve %d", len(dev.Flags), len(serve.Flags))
	}
	for _, f := range serve.Flags {
		if f.Name == "config" || f.Name == "help" {
			continue
		}
		want := "ROOMLOG_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if len(f.Envs) != 1 || f.Envs[0] != want {
			t.Errorf("--%s is read from %q, want %s", f.Name, f.Envs, want)
		}
	}
}

func command(t *testing.T, name string) *kong.Node {
	t.Helper()
	parser, err := newParser(&commands{}, os.Stdout, os.Stderr, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parser.Model.Children {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no command %s", name)
	return nil
}

func TestSuggestionsAreNear(t *testing.T) {
	known := []string{"kinds", "listen", "max-bytes", "origins"}
	for word, want := range map[string]string{
		"kind": `, did you mean "kinds"?`, "Listen": `, did you mean "listen"?`,
		"orgins": `, did you mean "origins"?`, "colour": "",
		"alowed_origins": `, did you mean "origins"?`, "max_bytes": `, did you mean "max-bytes"?`, "originality": "",
	} {
		if got := suggestion(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestWhatPeopleSendDoesNotMoveTheCursor(t *testing.T) {
	got := printable("a\x1b[2Jb\u202e\"é😀\n")
	if want := `a\x1b[2Jb\u202e"é😀\n`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
