package chaos

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Kind names a fault.
type Kind string

// The faults. A cut is an act, the others last until they are healed or replaced.
const (
	// Healthy is no fault: for a class, it exempts that class from the fault of all.
	Healthy Kind = "healthy"
	// Cut resets the connections that are there, at once.
	Cut Kind = "cut"
	// CutAfter lets Bytes bytes pass and cuts the connection instead of delivering the next one.
	CutAfter Kind = "cut-after"
	// Blackhole stops reading: both ends stay open and nothing passes, not even a close, until it
	// is healed; then what was held flows on. New connections are accepted and held too.
	Blackhole Kind = "blackhole"
	// Delay holds each chunk for Delay plus up to Jitter. Order is kept.
	Delay Kind = "delay"
	// Throttle lets at most Rate bytes per second pass, per connection and direction.
	Throttle Kind = "throttle"
	// Expire resets each connection when it has been open for Age, as proxies do that let none
	// live longer.
	Expire Kind = "expire"
	// Refuse resets new connections; those that are there go on.
	Refuse Kind = "refuse"
)

// Direction is the way bytes travel. Empty means both ways.
type Direction string

const (
	// Up is from the client to the server.
	Up Direction = "up"
	// Down is from the server to the client.
	Down Direction = "down"
)

// Fault is what a proxy does to the connections of one class.
//
// As JSON it is {"kind":"delay","class":"/v1/ws","direction":"down","delay_ms":200,"jitter_ms":50},
// with "bytes" and "times" for cut-after, "rate" for throttle and "age_ms" for expire.
type Fault struct {
	Kind Kind
	// Class limits the fault to connections whose first HTTP request has a path that starts so,
	// such as "/v1/ws". Empty: all connections. Where several match, the longest class counts.
	Class string
	// Direction limits the fault to one way; empty means both. Not for cut, expire and refuse.
	Direction Direction
	// Bytes, for cut-after, are let through in each direction that the fault covers, counted
	// from when the fault was set or the connection began, whichever came later.
	Bytes int64
	// Times, for cut-after, is how many connections are cut before the fault is spent; 0: no end.
	Times int64
	// Delay and Jitter are for delay.
	Delay, Jitter time.Duration
	// Rate, for throttle, is in bytes per second.
	Rate int64
	// Age, for expire, is how long a connection may be open.
	Age time.Duration
}

// Validate says in one sentence what is wrong with f, or returns nil.
func (f Fault) Validate() error {
	switch f.Kind {
	case Healthy, Blackhole:
	case Cut, Expire, Refuse:
		if f.Direction != "" {
			return fmt.Errorf("%s has no direction", f.Kind)
		}
		if f.Kind == Expire && f.Age <= 0 {
			return fmt.Errorf("expire needs an age above 0")
		}
		if f.Kind == Refuse && f.Class != "" {
			return fmt.Errorf("refuse has no class: a connection is refused before it has asked for anything")
		}
	case CutAfter:
		if f.Bytes < 0 || f.Times < 0 {
			return fmt.Errorf("cut-after needs bytes and times of 0 or more")
		}
	case Delay:
		if f.Delay < 0 || f.Jitter < 0 || f.Delay+f.Jitter <= 0 {
			return fmt.Errorf("delay needs a delay or a jitter above 0")
		}
	case Throttle:
		if f.Rate <= 0 {
			return fmt.Errorf("throttle needs a rate above 0, in bytes per second")
		}
	default:
		return fmt.Errorf("unknown fault %q: one of %s", f.Kind, kindNames)
	}
	switch f.Direction {
	case "", Up, Down:
		return nil
	}
	return fmt.Errorf("unknown direction %q: up or down", f.Direction)
}

var kindNames = strings.Join([]string{
	string(Cut), string(CutAfter), string(Blackhole), string(Delay), string(Throttle), string(Expire), string(Refuse), string(Healthy),
}, ", ")

// covers reports whether f does something to bytes that travel in direction d.
func (f Fault) covers(d Direction) bool { return f.Direction == "" || f.Direction == d }

// String is f as a script writes it.
func (f Fault) String() string {
	s := string(f.Kind)
	switch f.Kind {
	case CutAfter:
		s += fmt.Sprintf(" %d", f.Bytes)
	case Delay:
		s += " " + f.Delay.String()
		if f.Jitter > 0 {
			s += " jitter " + f.Jitter.String()
		}
	case Throttle:
		s += fmt.Sprintf(" %d", f.Rate)
	case Expire:
		s += " " + f.Age.String()
	}
	if f.Direction != "" {
		s += " " + string(f.Direction)
	}
	if f.Times > 0 {
		s += fmt.Sprintf(" times %d", f.Times)
	}
	if f.Class != "" {
		s += " class " + f.Class
	}
	return s
}

// wireFault is Fault in JSON: durations in milliseconds, as everywhere on our wire.
type wireFault struct {
	Kind      Kind      `json:"kind"`
	Class     string    `json:"class,omitempty"`
	Direction Direction `json:"direction,omitempty"`
	Bytes     int64     `json:"bytes,omitempty"`
	Times     int64     `json:"times,omitempty"`
	DelayMS   float64   `json:"delay_ms,omitempty"`
	JitterMS  float64   `json:"jitter_ms,omitempty"`
	Rate      int64     `json:"rate,omitempty"`
	AgeMS     float64   `json:"age_ms,omitempty"`
}

// MarshalJSON writes f in its JSON form.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFault{
		Kind: f.Kind, Class: f.Class, Direction: f.Direction, Bytes: f.Bytes, Times: f.Times, Rate: f.Rate,
		DelayMS:  float64(f.Delay) / float64(time.Millisecond),
		JitterMS: float64(f.Jitter) / float64(time.Millisecond),
		AgeMS:    float64(f.Age) / float64(time.Millisecond),
	})
}

// UnmarshalJSON reads f from its JSON form; an unknown field is an error. It does not validate.
func (f *Fault) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	var w wireFault
	if err := dec.Decode(&w); err != nil {
		return err
	}
	const longest = float64(24 * time.Hour / time.Millisecond)
	if w.DelayMS > longest || w.JitterMS > longest || w.AgeMS > longest {
		return fmt.Errorf("a delay or an age is at most %g ms", longest)
	}
	*f = Fault{
		Kind: w.Kind, Class: w.Class, Direction: w.Direction, Bytes: w.Bytes, Times: w.Times, Rate: w.Rate,
		Delay:  time.Duration(w.DelayMS * float64(time.Millisecond)),
		Jitter: time.Duration(w.JitterMS * float64(time.Millisecond)),
		Age:    time.Duration(w.AgeMS * float64(time.Millisecond)),
	}
	return nil
}
