//go:build !linux

package postgres

import "syscall"

// limitUnacknowledged does nothing where the system has no such option; keepalives find a lost server.
func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }
