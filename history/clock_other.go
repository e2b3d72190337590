//go:build !unix

package history

import "time"

var processStart = time.Now()

// Now is monotonic within this process; between processes it is as good as the wall clock was at
// their starts.
func Now() int64 { return processStart.UnixNano() + int64(time.Since(processStart)) }
