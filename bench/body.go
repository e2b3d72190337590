package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// bodyBytes is the size of an event's data.
const bodyBytes = 100

var filler = strings.Repeat("all work and no play makes a dull log ", (64<<10)/38)

// origin is what the times in events count from.
var origin = time.Now()

// appendBody appends the data of an event, of size bytes: a JSON object of the sender, the count of its sends to
// the room (from 1), and the microseconds from origin to now.
func appendBody(b []byte, sender int, count int64, size int) []byte {
	start := len(b)
	b = strconv.AppendInt(append(b, `{"s":`...), int64(sender), 10)
	b = strconv.AppendInt(append(b, `,"k":`...), count, 10)
	b = strconv.AppendInt(append(b, `,"us":`...), time.Since(origin).Microseconds(), 10)
	b = append(b, `,"text":"`...)
	return append(append(b, filler[:max(size-2-(len(b)-start), 0)]...), `"}`...)
}

// bodies checks the bodies that a frame holds (appendBody), for a target that does not number its events: those of
// each sender must be 1, 2, 3 … That none is missing at the end is seen by how many have come.
func (c *client) bodies(frame []byte) error {
	for {
		at := bytes.Index(frame, []byte(`{"s":`))
		if at < 0 {
			return nil
		}
		sender, rest, err := number(frame[at+5:])
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(rest, []byte(`,"k":`)) {
			return fmt.Errorf("an event without count: %.100q", frame[at:])
		}
		count, rest, err := number(rest[5:])
		if err != nil {
			return err
		}
		if sender > 1<<20 {
			return fmt.Errorf("an event of sender %d", sender)
		}
		for int(sender) >= len(c.last) {
			c.last = append(c.last, 0)
		}
		if count != c.last[sender]+1 {
			return fmt.Errorf("event %d of sender %d comes after its event %d: lost, doubled or reordered", count, sender, c.last[sender])
		}
		c.last[sender] = count
		c.got++
		frame = rest
	}
}
