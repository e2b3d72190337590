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

	// Folder is what relative paths of the configuration file start from; empty is the working folder.
	Folder string `kong:"-"`

	Listen               string   `default:"127.0.0.1:8080" env:"ROOMLOG_LISTEN" help:"Address to listen on; port 0 takes a free one."`
	InsecureDevOnNetwork bool     `env:"ROOMLOG_INSECURE_DEV_ON_NETWORK" help:"Let dev listen on an address that other machines reach. Everything is as loose there as on this machine, but for tokens, which are still given to this machine alone."`
	TrustedProxies       []string `env:"ROOMLOG_TRUSTED_PROXIES" placeholder:"CIDR" help:"Addresses of the proxies in front, such as 10.0.0.0/8. Theirs is the one X-Forwarded-For that is believed: the limits by address are then those of the clients behind."`
	AdminListen          string   `env:"ROOMLOG_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"Loopback address for operators: /metrics, for whoever has the key in admin.key of the data folder. None: there is no such listener."`
	Data                 string   `default:"./data" env:"ROOMLOG_DATA" help:"Folder for what the server keeps; it is made when it is missing."`
	Store                string   `default:"sqlite:roomlog.db" env:"ROOMLOG_STORE" help:"sqlite:PATH, where a plain relative PATH lies in the data folder and ./PATH in the working folder, or postgres://USER:PASSWORD@HOST/DATABASE."`

	Node           string `env:"ROOMLOG_NODE" placeholder:"NAME" help:"What this node of a cluster is called in /healthz, logs and metrics, and to clients (the name of the host and a few random digits, which clients of an only node are not told)."`
	Bus            string `default:"none" env:"ROOMLOG_BUS" help:"What carries hints between the nodes that serve one database: redis://HOST:PORT or nats://HOST:PORT; none: this is the only node. It needs --store postgres://."`
	Cluster        string `default:"roomlog" env:"ROOMLOG_CLUSTER" help:"Name of the cluster, part of every name on the bus, so that two of them may share a server."`
	ClusterKey     string `env:"ROOMLOG_CLUSTER_KEY" placeholder:"TEXT" help:"Key that all nodes of the cluster have and that signs what they tell each other, at least 32 bytes. Prefer the environment or --cluster-key-file."`
	ClusterKeyFile string `env:"ROOMLOG_CLUSTER_KEY_FILE" placeholder:"FILE" help:"File that holds the key of the cluster; surrounding white space is dropped."`

	AcceptRelaxedDurability bool `env:"ROOMLOG_ACCEPT_RELAXED_DURABILITY" help:"Serve although the database may lose acknowledged events in a crash (fsync, full_page_writes or synchronous_commit is off). dev only warns."`

	ServerFeed string `env:"ROOMLOG_SERVER_FEED" placeholder:"ROOM" help:"Room to which this server publishes figures of its own, ten times a second for as long as somebody on this node follows it, such as feed:server; none: it does not. In a cluster each node needs a room of its own (none; dev: feed:server)."`

	Kinds        Kinds    `env:"ROOMLOG_KINDS" placeholder:"KIND,..." help:"Kinds of rooms that exist, such as chat; in the file also their policies. Rooms of any other kind are unknown; dev without this knows every kind."`
	Origins      []string `env:"ROOMLOG_ORIGINS" placeholder:"ORIGIN" help:"Origins whose pages may connect, such as https://app.example.com, compared exactly; none: no browser may. Dev also takes loopback origins."`
	WebhookAllow []string `env:"ROOMLOG_WEBHOOK_ALLOW" placeholder:"NETWORK" help:"Networks that webhooks may call although they are not public, and by plain http, such as 10.0.0.0/8; none: only public addresses by https."`
	Key          string   `env:"ROOMLOG_KEY" placeholder:"TEXT" help:"Key that signs tokens (HS256), at least 32 bytes. Others on this machine can read a command line: prefer the environment or --key-file."`
	KeyFile      string   `env:"ROOMLOG_KEY_FILE" placeholder:"FILE" help:"File that holds the key; surrounding white space is dropped."`

	PublicKeyFile   []string `env:"ROOMLOG_PUBLIC_KEY_FILE" placeholder:"FILE" help:"PEM files of public keys that check tokens: RSA checks RS256, P-256 checks ES256, Ed25519 checks EdDSA."`
	JWKSURL         []string `name:"jwks-url" env:"ROOMLOG_JWKS_URL" placeholder:"ISSUER=URL" help:"Where issuers publish their keys (JSON Web Key Set): a token whose iss is ISSUER is checked by the keys of URL alone."`
	Issuer          []string `env:"ROOMLOG_ISSUER" placeholder:"NAME" help:"The iss that a token checked by --key or --public-key-file has to have, one of them; without this, any or none."`
	Audience        []string `env:"ROOMLOG_AUDIENCE" placeholder:"NAME" help:"The aud that a token has to have, one of them; without this, any or none."`
	ServiceKeysFile string   `env:"ROOMLOG_SERVICE_KEYS_FILE" placeholder:"FILE" help:"YAML file of services that may act for users: their keys and grants by name."`
	TokenInURL      bool     `name:"token-in-url" env:"ROOMLOG_TOKEN_IN_URL" help:"Let /v1/sse and /v1/yjs take ?token= (dev does). URLs are kept in logs and histories of others: tickets are for this."`

	MaxEventBytes         int           `default:"65536" env:"ROOMLOG_MAX_EVENT_BYTES" help:"Largest data of one event, as compacted JSON."`
	MaxFrameBytes         int           `default:"1048576" env:"ROOMLOG_MAX_FRAME_BYTES" help:"Largest frame or request body taken from a client."`
	RoomsPerConnection    int           `default:"200" env:"ROOMLOG_ROOMS_PER_CONNECTION" help:"Rooms one WebSocket may have joined."`
	RoomsPerStream        int           `default:"32" env:"ROOMLOG_ROOMS_PER_STREAM" help:"Rooms one SSE stream may follow."`
	Connections           int           `env:"ROOMLOG_CONNECTIONS" placeholder:"N" help:"Connections the server may hold in all (what its open files allow, less a reserve)."`
	ConnectionsPerUser    int           `env:"ROOMLOG_CONNECTIONS_PER_USER" placeholder:"N" help:"Connections one user may hold (50; dev: 20000)."`
	ConnectionsPerAddress int           `env:"ROOMLOG_CONNECTIONS_PER_ADDRESS" placeholder:"N" help:"Connections one address may hold (1000; dev: 20000)."`
	AcceptsPerSecond      int           `env:"ROOMLOG_ACCEPTS_PER_SECOND" placeholder:"N" help:"New WebSockets and streams the server takes per second, lasting; one more is told when it is its turn (1000; dev: 100000)."`
	AcceptBurst           int           `env:"ROOMLOG_ACCEPT_BURST" placeholder:"N" help:"The same at once (2000; dev: 200000)."`
	SendsPerSecond        int           `env:"ROOMLOG_SENDS_PER_SECOND" placeholder:"N" help:"Sends one user may make per second, lasting (50; dev: 2000)."`
	SendBurst             int           `env:"ROOMLOG_SEND_BURST" placeholder:"N" help:"Sends one user may make at once (200; dev: 4000)."`
	RoomSendsPerSecond    int           `env:"ROOMLOG_ROOM_SENDS_PER_SECOND" placeholder:"N" help:"Sends one room may have per second, lasting, of all users (10000; dev: 100000)."`
	RoomSendBurst         int           `env:"ROOMLOG_ROOM_SEND_BURST" placeholder:"N" help:"Sends one room may have at once (20000; dev: 200000)."`
	JoinsPerSecond        int           `env:"ROOMLOG_JOINS_PER_SECOND" placeholder:"N" help:"Rooms one user may join per second, lasting; each room of a stream is one (100; dev: 10000)."`
	JoinBurst             int           `env:"ROOMLOG_JOIN_BURST" placeholder:"N" help:"Rooms one user may join at once (1000; dev: 40000)."`
	ReadsPerSecond        int           `env:"ROOMLOG_READS_PER_SECOND" placeholder:"N" help:"Reads of a room's events (polls, history) one user may make per second, lasting (100; dev: 5000)."`
	ReadBurst             int           `env:"ROOMLOG_READ_BURST" placeholder:"N" help:"Reads one user may make at once (500; dev: 20000)."`
	Polls                 int           `env:"ROOMLOG_POLLS" placeholder:"N" help:"Requests that may wait for an event at a time (10000; dev: 20000)."`
	PollsPerUser          int           `env:"ROOMLOG_POLLS_PER_USER" placeholder:"N" help:"Requests of one user that may wait for an event at a time (50; dev: 20000)."`
	BadTokensPerSecond    int           `env:"ROOMLOG_BAD_TOKENS_PER_SECOND" placeholder:"N" help:"Tokens one address may send that are no good per second, lasting; after that no token is looked at for a while (10; dev: 1000)."`
	BadTokenBurst         int           `env:"ROOMLOG_BAD_TOKEN_BURST" placeholder:"N" help:"The same at once (100; dev: 10000)."`
	PingsPerSecond        int           `default:"20" env:"ROOMLOG_PINGS_PER_SECOND" help:"Frames one WebSocket may send per second, lasting, that neither send, join nor leave: pings, pongs, tokens, what makes no sense."`
	PingBurst             int           `default:"500" env:"ROOMLOG_PING_BURST" help:"The same at once."`
	Unauthenticated       int           `env:"ROOMLOG_UNAUTHENTICATED" placeholder:"N" help:"WebSockets that may not have said hello yet, of one address a quarter; four times as many connections may have said nothing at all (1000; dev: 20000)."`
	MemoryLimit           int64         `env:"ROOMLOG_MEMORY_LIMIT" placeholder:"BYTES" help:"Memory the server should stay within. Near it memory of rooms is given back, then new connections are refused, then the slowest are cut (GOMEMLIMIT, else nine tenths of the container's, else none)."`
	TailBytes             int64         `default:"67108864" env:"ROOMLOG_TAIL_BYTES" help:"Memory for the newest events of live rooms, over all rooms."`
	QueueSends            int           `default:"16384" env:"ROOMLOG_QUEUE_SENDS" help:"Sends that may wait for the store; more are refused as overloaded."`
	PingEvery             time.Duration `default:"10s" env:"ROOMLOG_PING_EVERY" help:"How often a quiet connection is pinged."`
	PongWithin            time.Duration `default:"10s" env:"ROOMLOG_PONG_WITHIN" help:"How long a peer may take to answer a ping before it is cut."`
	WriteDeadline         time.Duration `default:"20s" env:"ROOMLOG_WRITE_DEADLINE" help:"How long a connection with bytes waiting may make no progress before it is cut."`
	RetentionEvery        time.Duration `default:"1m" env:"ROOMLOG_RETENTION_EVERY" help:"How often rooms are looked through for what their kind no longer keeps."`
	PresenceGrace         time.Duration `default:"5s" env:"ROOMLOG_PRESENCE_GRACE" help:"How long a user may be without a connection before a room shows that they have gone."`
	PresenceLease         time.Duration `default:"10s" env:"ROOMLOG_PRESENCE_LEASE" help:"For how long the other nodes take a node to be alive that gives no sign of life; then who is connected to it is given the grace. It gives one three times as often."`
	PresenceCoalesce      time.Duration `default:"250ms" env:"ROOMLOG_PRESENCE_COALESCE" help:"How long at least is between two updates of who is in a room."`
	PresenceNames         int           `default:"200" env:"ROOMLOG_PRESENCE_NAMES" help:"Users of a room above which it shows how many there are, in place of names."`
	TagWindow             time.Duration `default:"720h" env:"ROOMLOG_TAG_WINDOW" help:"How long after it was stored a tag is remembered at least, though its event was pruned. Clients give a send up sooner: after 7 days."`
	RevocationsKept       time.Duration `default:"9600h" env:"ROOMLOG_REVOCATIONS_KEPT" help:"How long a revocation is remembered; no token may live longer."`
	HelloWithin           time.Duration `default:"10s" env:"ROOMLOG_HELLO_WITHIN" help:"How long a WebSocket may take to say hello."`
	BodyWithin            time.Duration `default:"30s" env:"ROOMLOG_BODY_WITHIN" help:"How long the body of a request may take to come."`
	AnswerWithin          time.Duration `default:"1m" env:"ROOMLOG_ANSWER_WITHIN" help:"How long a client may take to receive the answer to a request."`
	PauseLimit            time.Duration `default:"5s" env:"ROOMLOG_PAUSE_LIMIT" help:"How long this process may not run (stopped, its machine frozen or suspended) before it takes itself for out of date: it tells its clients to come back and reads everything anew. At least 1s."`
	StopWithin            time.Duration `default:"10s" env:"ROOMLOG_STOP_WITHIN" help:"How long a graceful stop may take, beside drain-wait."`
	DrainWait             time.Duration `env:"ROOMLOG_DRAIN_WAIT" placeholder:"TIME" help:"How long a server that is asked to stop says that it is not ready (/readyz is 503) and serves on, so that a balancer takes it out first (not at all)."`
	DrainOver             time.Duration `env:"ROOMLOG_DRAIN_OVER" placeholder:"TIME" help:"Over how long the clients of a server that stops are told to come back (1s for each thousand connections, from 1s to 30s)."`
}

// noOrigins is the value of Origins that says that no browser may connect.
const noOrigins = "none"

// leastTime is finer than any clock of the server ticks: below it a ticker has no interval and the kernel
// no timeout.
const leastTime = time.Millisecond

// leastPause is the least of PauseLimit: several looks at the clock.
const leastPause = 4 * pauseTick

// withDefaults returns c with the defaults this package needs; the parts it is built from have their own.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	orString(&c.Listen, "127.0.0.1:8080")
	orString(&c.Data, "./data")
	orString(&c.Store, "sqlite:roomlog.db")
	orString(&c.Bus, noBus)
	orString(&c.Cluster, "roomlog")
	if c.Node == "" {
		c.Node = nodeName()
	}
	orNumber(&c.MaxEventBytes, room.MaxData)
	orNumber(&c.MaxFrameBytes, 1<<20)
	orNumber(&c.StopWithin, 10*time.Second)
	orNumber(&c.PauseLimit, 5*time.Second)
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
	if err := c.validateNetwork(); err != nil {
		return err
	}
	if err := c.validateAdmin(); err != nil {
		return err
	}
	if err := c.Kinds.validate(); err != nil {
		return err
	}
	if err := c.validateFeed(); err != nil {
		return err
	}
	if err := c.validatePresence(); err != nil {
		return err
	}
	if err := c.validateCluster(); err != nil {
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
	if err := c.validateTokens(); err != nil {
		return err
	}
	if c.Dev {
		return nil
	}
	return c.validateServe()
}

// validateServe refuses what only a server for trying things may leave out.
func (c Config) validateServe() error {
	var missing []string
	if !c.hasSecret() && len(c.PublicKeyFile)+len(c.JWKSURL) == 0 {
		missing = append(missing, "a key (--key-file FILE or ROOMLOG_KEY, --public-key-file FILE or --jwks-url ISSUER=URL)")
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
		{"accepts-per-second", int64(c.AcceptsPerSecond)},
		{"accept-burst", int64(c.AcceptBurst)},
		{"sends-per-second", int64(c.SendsPerSecond)},
		{"send-burst", int64(c.SendBurst)},
		{"connections", int64(c.Connections)},
		{"room-sends-per-second", int64(c.RoomSendsPerSecond)},
		{"room-send-burst", int64(c.RoomSendBurst)},
		{"joins-per-second", int64(c.JoinsPerSecond)},
		{"join-burst", int64(c.JoinBurst)},
		{"reads-per-second", int64(c.ReadsPerSecond)},
		{"read-burst", int64(c.ReadBurst)},
		{"polls", int64(c.Polls)},
		{"polls-per-user", int64(c.PollsPerUser)},
		{"bad-tokens-per-second", int64(c.BadTokensPerSecond)},
		{"bad-token-burst", int64(c.BadTokenBurst)},
		{"pings-per-second", int64(c.PingsPerSecond)},
		{"ping-burst", int64(c.PingBurst)},
		{"unauthenticated", int64(c.Unauthenticated)},
		{"memory-limit", c.MemoryLimit},
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
		{"hello-within", c.HelloWithin},
		{"body-within", c.BodyWithin},
		{"answer-within", c.AnswerWithin},
		{"stop-within", c.StopWithin},
		{"drain-wait", c.DrainWait},
		{"drain-over", c.DrainOver},
		{"retention-every", c.RetentionEvery},
		{"tag-window", c.TagWindow},
		{"revocations-kept", c.RevocationsKept},
	} {
		if f.value != 0 && f.value < leastTime {
			return configErrorf("--%s is at least %v", f.flag, leastTime)
		}
	}
	if c.PauseLimit < leastPause {
		return configErrorf("--pause-limit is at least %v, below which a busy machine looks like one that was stopped", leastPause)
	}
	if c.MemoryLimit != 0 && c.MemoryLimit < 2*c.TailBytes {
		return configErrorf("--memory-limit is at least twice --tail-bytes (%d), since rooms are not all that is in memory", c.TailBytes)
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
	take(&l.AcceptsPerSecond, float64(c.AcceptsPerSecond))
	take(&l.AcceptBurst, c.AcceptBurst)
	take(&l.SendsPerSecond, float64(c.SendsPerSecond))
	take(&l.SendBurst, c.SendBurst)
	take(&l.WriteDeadline, c.WriteDeadline)
	take(&l.RoomSendsPerSecond, float64(c.RoomSendsPerSecond))
	take(&l.RoomSendBurst, c.RoomSendBurst)
	take(&l.JoinsPerSecond, float64(c.JoinsPerSecond))
	take(&l.JoinBurst, c.JoinBurst)
	take(&l.ReadsPerSecond, float64(c.ReadsPerSecond))
	take(&l.ReadBurst, c.ReadBurst)
	take(&l.Polls, c.Polls)
	take(&l.PollsPerUser, c.PollsPerUser)
	take(&l.FailuresPerSecond, float64(c.BadTokensPerSecond))
	take(&l.FailureBurst, c.BadTokenBurst)
	take(&l.FramesPerSecond, float64(c.PingsPerSecond))
	take(&l.FrameBurst, c.PingBurst)
	take(&l.Unauthenticated, c.Unauthenticated)
	take(&l.HelloWithin, c.HelloWithin)
	take(&l.BodyWithin, c.BodyWithin)
	take(&l.AnswerWithin, c.AnswerWithin)
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
