package room

import (
	"context"
	"time"
)

// Lease is the right to speak for a node: its name, and which of those who had that name is meant.
type Lease struct {
	Name       string // as [ValidLeaseName] allows
	Generation Generation
}

// Generation tells the holders of one name apart: whoever takes the name later has a higher one, also after the server of the
// leases has lost all it kept. It is never 0.
type Generation uint64

// Leases keeps which nodes live, for all nodes of a cluster: a lease that is not renewed within its time ends. Time is the
// server's alone, so a node whose clock is wrong, or that was stopped for a while, cannot believe that it holds what it lost. Every adapter
// passes the suite in leasetest.
//
// All methods but Close may be called concurrently. They wait for the server until ctx is done at the latest. Where it does not answer, the
// error is a *Error of a retryable code, and whether anything was changed is not known; each may be called again.
type Leases interface {
	// Hold takes the lease of a name for a time, of at least a second, from whoever held it.
	Hold(ctx context.Context, name string, ttl time.Duration) (Generation, error)

	// Renew extends a lease to a time from now. held is false where it has ended or somebody else took the name: it never
	// comes back then, and who still lives calls Hold.
	Renew(ctx context.Context, lease Lease, ttl time.Duration) (held bool, err error)

	// Release ends a lease before its time; one that is not held any more is left as it is.
	Release(ctx context.Context, lease Lease) error

	// List gives the leases that are held, each name once, in no order. A server that has lost what it kept gives none, until the nodes
	// find out and hold theirs anew: who does not find its own lease here must take nothing from the absence of others.
	List(ctx context.Context) ([]Lease, error)

	// Close lets go of the connections to the server. Leases stay until their time is over.
	Close() error
}

// maxLeaseName bounds the name of a lease in bytes.
const maxLeaseName = 64

// ValidLeaseName reports whether a node may be called so: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
func ValidLeaseName(name string) bool {
	if name == "" || len(name) > maxLeaseName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !isLower(c) && !isDigit(c) && (c < 'A' || c > 'Z') && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// NoLeases is the error where the server of the leases does not answer.
func NoLeases(cause error) *Error {
	return &Error{Code: CodeUnavailable, Title: "The server that keeps the nodes' leases does not answer.", Cause: cause}
}

// BadLeaseName refuses a name that no node may have.
func BadLeaseName() *Error {
	return &Error{Code: CodeBadRequest, Title: "The name of a node is 1 to 64 of A-Z, a-z, 0-9, ., _ and -, such as node-1.", Field: "node"}
}
