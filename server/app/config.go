package app

import (
	"log/slog"
	"net"
	"strings"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport"
)

// Config says how a server runs. Its tags are the one table from which the command line, the
// environment (ROOMLOG_ and the name in capitals) and the keys of the configuration file are made;
// docs/configuration.md is held equal to it by a test. A zero field means the default in its tag; the
// limits without one differ between dev and serve, see limits.
type Config struct {
	// Dev makes a server to try things on: a token for anyone on this machine, every kind of room,
	// loopback origins, the pages and their tunnels. Without it, keys and origins must be given.
	Dev bool `kong:"-"`
	// Version is shown at start and in /healthz.
	Version string `kong:"-"`
	// Log receives what operators should know; never a token, never the data of an event. nil: nothing is logged.
	Log *slog.Logger `kong:"-"`

	Listen      string `default:"127.0.0.1:8080" env:"ROOMLOG_LISTEN" help:"Address to listen on; port 0 takes a free one."`
	AdminListen string `env:"ROOMLOG_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"Loopback address for operators: /metrics, for whoever has the key in admin.key of the data folder. None: there is no such listener."`
	Data        string `default:"./data" env:"ROOMLOG_DATA" help:"Folder for what the server keeps; it is made when it is missing."`
	Store       string `default:"sqlite:roomlog.db" env:"ROOMLOG_STORE" help:"sqlite:PATH, where a plain relative PATH lies in the data folder and ./PATH in the working folder, or postgres://USER:PASSWORD@HOST/DATABASE."`

	Kinds   Kinds    `env:"ROOMLOG_KINDS" placeholder:"KIND,..." help:"Kinds of rooms that exist, such as chat; in the file also their policies. Rooms of any other kind are unknown; dev without this knows every kind."`
	Origins []string `env:"ROOMLOG_ORIGINS" placeholder:"ORIGIN" help:"Origins whose pages may connect, such as https://app.example.com, compared exactly; none: no browser may. Dev also takes loopback origins."`
	Key     string   `env:"ROOMLOG_KEY" placeholder:"TEXT" help:"Key that signs tokens (HS256), at least 32 bytes. Others on this machine can read a command line: prefer the environment or --key-file."`
	KeyFile string   `env:"ROOMLOG_KEY_FILE" placeholder:"FILE" help:"File that holds the key; surrounding white space is dropped."`

	MaxEventBytes         int           `default:"65536" env:"ROOMLOG_MAX_EVENT_BYTES" help:"Largest data of one event, as compacted JSON."`
	MaxFrameBytes         int           `default:"1048576" env:"ROOMLOG_MAX_FRAME_BYTES" help:"Largest frame or request body taken from a client."`
	RoomsPerConnection    int           `default:"200" env:"ROOMLOG_ROOMS_PER_CONNECTION" help:"Rooms one WebSocket may have joined."`
	RoomsPerStream        int           `default:"32" env:"ROOMLOG_ROOMS_PER_STREAM" help:"Rooms one SSE stream may follow."`
	ConnectionsPerUser    int           `env:"ROOMLOG_CONNECTIONS_PER_USER" placeholder:"N" help:"Connections one user may hold (50; dev: 20000)."`
	ConnectionsPerAddress int           `env:"ROOMLOG_CONNECTIONS_PER_ADDRESS" placeholder:"N" help:"Connections one address may hold (1000; dev: 20000)."`
	SendsPerSecond        int           `env:"ROOMLOG_SENDS_PER_SECOND" placeholder:"N" help:"Sends one user may make per second, lasting (50; dev: 2000)."`
	SendBurst             int           `env:"ROOMLOG_SEND_BURST" placeholder:"N" help:"Sends one user may make at once (200; dev: 4000)."`
	TailBytes             int64         `default:"67108864" env:"ROOMLOG_TAIL_BYTES" help:"Memory for the newest events of live rooms, over all rooms."`
	QueueSends            int           `default:"16384" env:"ROOMLOG_QUEUE_SENDS" help:"Sends that may wait for the store; more are refused as overloaded."`
	PingEvery             time.Duration `default:"10s" env:"ROOMLOG_PING_EVERY" help:"How often a quiet connection is pinged."`
	PongWithin            time.Duration `default:"10s" env:"ROOMLOG_PONG_WITHIN" help:"How long a peer may take to answer a ping before it is cut."`
	WriteDeadline         time.Duration `default:"20s" env:"ROOMLOG_WRITE_DEADLINE" help:"How long a connection with bytes waiting may make no progress before it is cut."`
	RetentionEvery        time.Duration `default:"1m" env:"ROOMLOG_RETENTION_EVERY" help:"How often rooms are looked through for what their kind no longer keeps."`
	TagWindow             time.Duration `default:"720h" env:"ROOMLOG_TAG_WINDOW" help:"How long after it was stored a tag is remembered at least, though its event was pruned. Clients give a send up sooner: after 7 days."`
	StopWithin            time.Duration `default:"10s" env:"ROOMLOG_STOP_WITHIN" help:"How long a graceful stop may take."`
}

// noOrigins is the value of Origins that says that no browser may connect.
const noOrigins = "none"

// leastTime is finer than any clock of the server ticks: below it a ticker has no interval and the kernel
// no timeout.
const leastTime = time.Millisecond

// withDefaults returns c with the defaults this package needs; the parts it is built from have their own.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	orString(&c.Listen, "127.0.0.1:8080")
	orString(&c.Data, "./data")
	orString(&c.Store, "sqlite:roomlog.db")
	orNumber(&c.MaxEventBytes, room.MaxData)
	orNumber(&c.MaxFrameBytes, 1<<20)
	orNumber(&c.StopWithin, 10*time.Second)
	return c
}

func orString(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func orNumber[N ~int | ~int64](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

// validate names the first thing that is wrong, in one sentence that says what to set.
func (c Config) validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return configErrorf("--listen is HOST:PORT, such as 127.0.0.1:8080, not %q", c.Listen)
	}
	if err := c.validateAdmin(); err != nil {
		return err
	}
	if err := c.Kinds.validate(); err != nil {
		return err
	}
	for _, o := range c.allowedOrigins() {
		if o == noOrigins {
			return configErrorf("--origins is a list of origins or %q, not both", noOrigins)
		}
		if err := transport.CheckOrigin(o); err != nil {
			return configErrorf("--origins: %v", err)
		}
	}
	if err := c.validateLimits(); err != nil {
		return err
	}
	if c.Key != "" && c.KeyFile != "" {
		return configErrorf("the key is given twice: keep one of --key (ROOMLOG_KEY) and --key-file (ROOMLOG_KEY_FILE)")
	}
	if c.Dev {
		return nil
	}
	return c.validateServe()
}

// validateServe refuses what only a server for trying things may leave out.
func (c Config) validateServe() error {
	var missing []string
	if c.Key == "" && c.KeyFile == "" {
		missing = append(missing, "a key (--key-file FILE or ROOMLOG_KEY)")
	}
	if len(c.Origins) == 0 {
		missing = append(missing, "the origins of its pages (--origins https://app.example.com, or --origins none)")
	}
	if len(missing) > 0 {
		return configErrorf("serve needs %s", strings.Join(missing, " and "))
	}
	return nil
}

func (c Config) validateLimits() error {
	for _, f := range []struct {
		flag  string
		value int64
	}{
		{"max-event-bytes", int64(c.MaxEventBytes)},
		{"max-frame-bytes", int64(c.MaxFrameBytes)},
		{"rooms-per-connection", int64(c.RoomsPerConnection)},
		{"rooms-per-stream", int64(c.RoomsPerStream)},
		{"connections-per-user", int64(c.ConnectionsPerUser)},
		{"connections-per-address", int64(c.ConnectionsPerAddress)},
		{"sends-per-second", int64(c.SendsPerSecond)},
		{"send-burst", int64(c.SendBurst)},
		{"tail-bytes", c.TailBytes},
		{"queue-sends", int64(c.QueueSends)},
	} {
		if f.value < 0 {
			return configErrorf("--%s cannot be negative", f.flag)
		}
	}
	for _, f := range []struct {
		flag  string
		value time.Duration
	}{
		{"ping-every", c.PingEvery},
		{"pong-within", c.PongWithin},
		{"write-deadline", c.WriteDeadline},
		{"stop-within", c.StopWithin},
		{"retention-every", c.RetentionEvery},
		{"tag-window", c.TagWindow},
	} {
		if f.value != 0 && f.value < leastTime {
			return configErrorf("--%s is at least %v", f.flag, leastTime)
		}
	}
	if c.MaxEventBytes >= c.MaxFrameBytes {
		return configErrorf("--max-frame-bytes must exceed --max-event-bytes, since a frame carries the event")
	}
	return nil
}

// allowedOrigins is the list to compare with, exactly.
func (c Config) allowedOrigins() []string {
	if len(c.Origins) == 1 && c.Origins[0] == noOrigins {
		return nil
	}
	return c.Origins
}

// limits are what one client may ask of the server: what is configured, else the transport's own.
func (c Config) limits() transport.Limits {
	var l transport.Limits
	if c.Dev {
		l = transport.DevLimits()
	}
	take(&l.EventBytes, c.MaxEventBytes)
	take(&l.FrameBytes, c.MaxFrameBytes)
	take(&l.RoomsPerConnection, c.RoomsPerConnection)
	take(&l.RoomsPerStream, c.RoomsPerStream)
	take(&l.ConnectionsPerUser, c.ConnectionsPerUser)
	take(&l.ConnectionsPerAddress, c.ConnectionsPerAddress)
	take(&l.SendsPerSecond, float64(c.SendsPerSecond))
	take(&l.SendBurst, c.SendBurst)
	take(&l.WriteDeadline, c.WriteDeadline)
	return l
}

// connections is how many connections one address may have.
func (c Config) connections() uint64 {
	if most := c.limits().ConnectionsPerAddress; most > 0 {
		return uint64(most)
	}
	return transport.DefaultConnectionsPerAddress
}

// take sets a limit to a value that is configured.
func take[T int | float64 | time.Duration](limit *T, value T) {
	if value != 0 {
		*limit = value
	}
}
