package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"roomlog/server/app"
)

// serverFlags are those of dev and serve.
type serverFlags struct {
	app.Config `embed:""`
	ConfigFile configFile `name:"config" type:"path" placeholder:"FILE" help:"${config_help}"`
	LogLevel   string     `default:"info" enum:"debug,info,warn,error" env:"ROOMLOG_LOG_LEVEL" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat  string     `default:"" enum:"text,json," env:"ROOMLOG_LOG_FORMAT" placeholder:"FORMAT" help:"How log lines are written: text or json (json; dev: text)."`
}

// AfterApply refuses a number or a duration that was set to 0: it would mean the default, which is not what
// was written.
func (f *serverFlags) AfterApply(ctx *kong.Context) error {
	for _, flag := range ctx.Flags() {
		if kind := flag.Target.Kind(); flag.Set && (kind == reflect.Int || kind == reflect.Int64) && flag.Target.Int() == 0 {
			return fmt.Errorf("--%s cannot be 0; leave it out for its default", flag.Name)
		}
	}
	return nil
}

// devCommand serves on this machine to try things.
type devCommand struct{ serverFlags }

// Run serves until a signal comes.
func (d *devCommand) Run(c *console) error {
	d.Dev = true
	return d.serve(c)
}

// serveCommand serves in production.
type serveCommand struct{ serverFlags }

// Run serves until a signal comes.
func (s *serveCommand) Run(c *console) error { return s.serve(c) }

// serve runs a server until SIGINT or SIGTERM, then stops it gracefully; a second signal ends the
// process at once.
func (f *serverFlags) serve(c *console) error {
	if f.LogFormat == "" && !f.Dev {
		f.LogFormat = "json"
	}
	log, err := newLog(c.err, f.LogLevel, f.LogFormat)
	if err != nil {
		return err
	}
	signals, again := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	signal.Notify(again, syscall.SIGHUP) // before the start: it would end a process that does not listen for it
	defer signal.Stop(again)

	f.Config.Log, f.Config.Version, f.Config.Folder = log, version, f.ConfigFile.folder()
	leaveGarbage()
	server, err := app.New(context.Background(), f.Config)
	if err != nil {
		var bad *app.ConfigError
		if errors.As(err, &bad) {
			return usageError{err}
		}
		return err
	}
	if err := server.Start(); err != nil {
		return errors.Join(err, server.Stop(context.Background()))
	}
	printStart(c.out, server.About())
	for {
		select {
		case <-again:
			reload(server, c.args, log)
		case s := <-signals:
			log.Info("stopping", "signal", s.String())
			return stop(server, signals)
		case <-server.Failed():
			return errors.Join(errors.New("the server can no longer serve and ends; the log says why"), stop(server, signals))
		}
	}
}

// reload reads the command line, the environment and the file again and gives the server what it may take
// while it runs. What is wrong with them changes nothing.
func reload(server *app.App, args []string, log *slog.Logger) {
	var again commands
	var (
		waiting []string
		parsed  *kong.Context
	)
	parser, err := newParser(&again, io.Discard, io.Discard, func(int) {})
	if err == nil {
		parsed, err = parser.Parse(args)
	}
	if err == nil {
		flags := again.Dev.serverFlags // the server knows whether it is dev
		if parsed.Selected().Name == "serve" {
			flags = again.Serve.serverFlags
		}
		flags.Folder = flags.ConfigFile.folder()
		waiting, err = server.Reload(flags.Config)
	}
	if err != nil {
		log.Error("the configuration is not taken", "error", oneLine(err))
		return
	}
	if len(waiting) > 0 {
		log.Warn("these keys have changed and wait for a restart", "keys", waiting)
	}
	log.Info("the configuration was read again")
}

// stop ends the server gracefully, or at once when another signal comes.
func stop(server *app.App, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(ctx) }()
	select {
	case err := <-stopped:
		return err
	case <-signals:
		return errors.New("stopped at once, as asked by a second signal")
	}
}

// newLog writes to w at the named level and above.
func newLog(w io.Writer, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level: %w", err)}
	}
	options := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// printStart says where the server is, what it keeps and on what terms, and what is not safe about it.
func printStart(w io.Writer, about app.About) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Roomlog %s\n\n", about.Version)
	fmt.Fprintf(&b, "  %s\n\n", about.URL)
	fmt.Fprintf(&b, "  store       %s\n", about.Store)
	if about.Admin != "" {
		fmt.Fprintf(&b, "  admin       %s/metrics\n", about.Admin)
	}
	fmt.Fprintf(&b, "  durability  %s\n", about.Durability)
	if len(about.Insecure) > 1 {
		b.WriteString("\n  !!! INSECURE !!!\n")
	}
	for _, line := range about.Insecure {
		fmt.Fprintf(&b, "  insecure    %s\n", line)
	}
	for _, line := range about.Notes {
		fmt.Fprintf(&b, "  note        %s\n", line)
	}
	b.WriteString("\n  Ctrl-C stops it.\n\n")
	_, _ = io.WriteString(w, b.String())
}
