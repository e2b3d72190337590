// Package redis carries the bus over the pub/sub of Redis 7, Valkey, or a Redis Cluster. It keeps no key, so
// that a flush takes nothing from it. Of a user it needs these rights alone, and in a Redis Cluster those of the sharded
// commands: `resetchannels &roomlog:* +hello +ping +cluster +client|setname +publish +subscribe +unsubscribe`.
//
// One server: a topic is the channel `roomlog:<cluster>:<topic>`, and a bus has two connections, one that
// subscribes and one that publishes. A Redis Cluster: sharded pub/sub over 16 slots, `roomlog:{<cluster>:<shard>}:<topic>`,
// since plain pub/sub would carry every message to every server; a bus has a connection for each shard and one
// for each primary. Which it is, is asked of the server. The number of a database means nothing to pub/sub: what
// keeps two clusters apart is their names.
//
// A server cuts a subscriber off that reads too slowly (client-output-buffer-limit pubsub); that is a loss
// like any other.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"roomlog/server/bus/link"
	"roomlog/server/room"
)

// A server that says nothing is asked after pingGap, and is dead when it has not answered within silence.
const (
	silence = 2 * time.Second
	pingGap = time.Second
)

// shards is into how many slots topics are spread in a Redis Cluster. All nodes agree on it: it never changes.
const shards = 16

// Buffers of a connection in bytes, and the commands in flight as a power of two. The library's own are made for
// a connection or two.
const (
	buffer   = 64 << 10
	inFlight = 9
)

// Open makes a bus of a cluster over the servers of dsn, which is not connected before Start. The DSN is
// `redis://[[user]:password@]host[:port]`, or rediss:// with TLS; `?addr=host:port` adds a server of the same Redis
// Cluster, and `protocol=2` speaks RESP2 with what is between us and the server. An error is one of the DSN or the
// cluster's name, and holds no secret.
func Open(dsn, cluster string, o room.BusOptions) (*link.Link, error) {
	if !room.ValidCluster(cluster) {
		return nil, errCluster
	}
	option, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	return link.New(&dialer{option: option, cluster: cluster}, o), nil
}

var errDSN = errors.New("the address of Redis is redis://host:6379 or rediss://host:6379, with ?addr=host:port for more servers of a Redis Cluster")

func parse(dsn string) (rueidis.ClientOption, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
		return rueidis.ClientOption{}, errDSN // the parser's own error would hold the password
	}
	for key := range u.Query() {
		if key != "addr" && key != "protocol" {
			return rueidis.ClientOption{}, errDSN
		}
	}
	option, err := rueidis.ParseURL(dsn)
	if err != nil {
		return rueidis.ClientOption{}, errDSN
	}
	option.SelectDB = 0
	option.DisableCache = true
	option.DisableRetry = true
	option.ClientName = "roomlog"
	option.PipelineMultiplex = -1 // one connection that publishes
	option.RingScaleEachConn = inFlight
	option.ReadBufferEachConn, option.WriteBufferEachConn = buffer, buffer
	option.ConnWriteTimeout = silence
	option.Dialer = net.Dialer{Timeout: silence, KeepAlive: pingGap}
	return option, nil
}

type dialer struct {
	option  rueidis.ClientOption
	cluster string
}

// Dial is link.Dialer's.
func (d *dialer) Dial(ctx context.Context, inbox *link.Inbox) (link.Conn, error) {
	c := &conn{inbox: inbox, sockets: link.NewSockets(d.option.Dialer), broken: make(chan error, 1)}
	defer context.AfterFunc(ctx, c.sockets.Close)()
	option := d.option
	option.DialCtxFn = func(ctx context.Context, address string, _ *net.Dialer, secure *tls.Config) (net.Conn, error) {
		return dialOne(ctx, c.sockets, address, secure)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		c.sockets.Close()
		return nil, fmt.Errorf("connect to Redis: %w", err)
	}
	c.client = client
	c.sharded = client.Mode() == rueidis.ClientModeCluster
	if !c.sharded {
		c.prefixes = []string{"roomlog:" + d.cluster + ":"}
	} else {
		for n := range shards {
			c.prefixes = append(c.prefixes, "roomlog:{"+d.cluster+":"+strconv.Itoa(n)+"}:")
		}
	}
	for _, prefix := range c.prefixes {
		s, err := c.listen(prefix)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("connect to Redis: %w", err)
		}
		c.lines = append(c.lines, s)
	}
	return c, nil
}

// dialOne opens one connection, with TLS where there is a configuration of it.
func dialOne(ctx context.Context, sockets *link.Sockets, address string, secure *tls.Config) (net.Conn, error) {
	conn, err := sockets.DialContext(ctx, "tcp", address)
	if err != nil || secure == nil {
		return conn, err
	}
	if host, _, err := net.SplitHostPort(address); err == nil && secure.ServerName != host {
		secure = secure.Clone()
		secure.ServerName = host // of a Redis Cluster, each server shows a certificate of its own
	}
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	wrapped := tls.Client(conn, secure)
	if err := wrapped.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return wrapped, nil
}

// shard is the line that carries a topic.
func (c *conn) shard(topic room.Topic) int {
	if len(c.prefixes) == 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(topic)) // it never fails
	return int(h.Sum32() % uint32(len(c.prefixes)))
}

func (c *conn) channel(topic room.Topic) string { return c.prefixes[c.shard(topic)] + string(topic) }

// topicOf is the topic of a channel that begins with prefix.
func topicOf(prefix, channel string) (room.Topic, bool) {
	rest, ok := strings.CutPrefix(channel, prefix)
	return room.Topic(rest), ok && rest != ""
}
