package main

import (
	"fmt"
	"runtime"
)

// version is set by the linker, from git.
var version = "unreleased"

// versionCommand prints what this binary is.
type versionCommand struct{}

// Run prints the version, the Go version and the platform.
func (versionCommand) Run(c *console) error {
	_, err := fmt.Fprintln(c.out, versionLine())
	return err
}

func versionLine() string {
	return fmt.Sprintf("roomlog %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
