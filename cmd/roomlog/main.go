// Command roomlog is the Roomlog server and the tools around it.
//
// A value comes from the command line, else from the environment (ROOMLOG_ and the flag's name in
// capitals), else from the file of --config, else from the default. The exit code is 0, 1 when the
// work failed, and 2 when the command line, the environment or the file was wrong.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"roomlog/server/app"
)

// commands is the command line. `roomlog` alone is `roomlog dev`.
type commands struct {
	Dev     devCommand      `cmd:"" default:"withargs" help:"Serve on this machine to try things: pages, tokens for anyone, an embedded store. The default command."`
	Serve   serveCommand    `cmd:"" help:"Serve in production: needs a key and the origins of its pages."`
	Token   tokenCommand    `cmd:"" help:"Make a token for a user."`
	Send    sendCommand     `cmd:"" help:"Send an event to a room of a running server."`
	Tail    tailCommand     `cmd:"" help:"Follow a room of a running server."`
	Demo    demoFeedCommand `cmd:"" name:"demo-feed" help:"Post points of a small power station to a room, for a dashboard to show."`
	Health  healthCommand   `cmd:"" help:"Ask a running server whether it is alive, or ready."`
	Verify  verifyCommand   `cmd:"" help:"Check recorded histories against the invariants."`
	Chaos   chaosCommand    `cmd:"" help:"Run a TCP proxy that injects faults."`
	Bench   benchCommand    `cmd:"" help:"Measure this server from outside."`
	Epoch   epochCommand    `cmd:"" help:"Mark a store as restored."`
	Config  configCommand   `cmd:"" help:"Look at the configuration."`
	Version versionCommand  `cmd:"" help:"Print the version."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// Exit codes beside 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program but for the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser, err := newParser(&commands{}, stdout, stderr, func(code int) { exited = code })
	if err != nil {
		fmt.Fprintln(stderr, "roomlog:", err)
		return exitUsage
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		fmt.Fprintln(stderr, "roomlog:", oneLine(named(parser, args, err)))
		return exitUsage
	}
	return finish(ctx.Run(&console{args: args, out: stdout, err: stderr}), stderr)
}

// newParser builds the parser of into; exit is called by --help.
func newParser(into any, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(into,
		kong.Name("roomlog"),
		kong.Description("A room is a log; a subscriber is a cursor over it. `roomlog` alone serves two talking panes on http://127.0.0.1:8080."),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.TypeMapper(reflect.TypeFor[app.Kinds](), kindsMapper{}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Vars{"config_help": "YAML file whose keys are the flags of this command.", "version": versionLine()},
	)
}

// usage follows what the command line does not have.
const usage = " (usage: roomlog <command> [flags], which --help lists)"

// named says of a first word that is no command what may have been meant. The parser cannot: to it, the
// word is an argument of the default command.
func named(parser *kong.Kong, args []string, err error) error {
	if strings.HasPrefix(err.Error(), "unknown flag") {
		err = fmt.Errorf("%w%s", err, usage)
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return err
	}
	var known []string
	for _, c := range parser.Model.Children {
		known = append(known, c.Name)
	}
	if slices.Contains(known, args[0]) {
		return err
	}
	return fmt.Errorf("unknown command %q%s%s", args[0], suggestion(args[0], known), usage)
}

// console is where a command talks to.
type console struct {
	args     []string // the command line, for who reads it again
	out, err io.Writer
}

// usageError is a wrong command line, environment or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errReported ends a command whose failure has been printed.
var errReported = errors.New("reported")

func finish(err error, stderr io.Writer) int {
	switch usage := (usageError{}); {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "roomlog:", oneLine(err))
		return exitUsage
	default:
		fmt.Fprintln(stderr, "roomlog:", oneLine(err))
		return exitFailed
	}
}

// oneLine keeps an error to one line, whatever it wraps.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
