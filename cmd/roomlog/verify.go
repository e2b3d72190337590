package main

import (
	"roomlog/history"
)

// verifyCommand checks histories that tests and load runs recorded.
type verifyCommand struct {
	Files []string `arg:"" type:"existingfile" help:"History files: one JSON line per operation."`
}

// Run prints the verdict as a table; any broken invariant is a failure.
func (v *verifyCommand) Run(c *console) error {
	ok, err := history.Run(c.out, v.Files)
	if err != nil {
		return err
	}
	if !ok {
		return errReported
	}
	return nil
}
