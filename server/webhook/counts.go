package webhook

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"
)

func isTLS(err error) bool {
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &cert) || errors.As(err, &record)
}

// calls counts the calls of one endpoint.
type calls struct {
	made, failed atomic.Int64
	took         atomic.Int64 // nanoseconds
}

func (c *calls) add(took time.Duration, err error) {
	c.made.Add(1)
	c.took.Add(int64(took))
	if err != nil {
		c.failed.Add(1)
	}
}

// Calls says how often an endpoint was called since the start.
type Calls struct {
	Made, Failed int64
	Took         time.Duration // all calls together, the wait for their turn included
}

func (c *calls) read() Calls {
	return Calls{Made: c.made.Load(), Failed: c.failed.Load(), Took: time.Duration(c.took.Load())}
}
