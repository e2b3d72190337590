//go:build unix

// Command withpostgres runs a command beside a private PostgreSQL server, whose address is in the
// environment of the command, and stops the server afterwards, however the command ended.
//
//	withpostgres go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"roomlog/server/store/postgres/pgtest"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run returns the exit code of the command.
func run(args []string) (code int, err error) {
	if len(args) == 0 {
		return 2, errors.New("usage: withpostgres COMMAND [ARGUMENT]…")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	server, err := pgtest.Start(ctx, pgtest.Options{})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), pgtest.Env+"="+server.DSN(""))
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil // it has said why itself
	}
	return 0, err
}
