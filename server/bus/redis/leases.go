package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"roomlog/server/room"
)

// Leases is a room.Leases on Redis 7, Valkey, or a Redis Cluster: a hash `roomlog:{<cluster>}:leases` with a field for each name, which
// holds the generation and until when the lease is held, by the server's clock. It is one key, so that all is known from one server at one
// moment. A generation is the microsecond at which it was drawn, or one more than the one before: a flush takes
// back none that was given. Beside the rights of the bus the user needs
// `~roomlog:* +eval +evalsha +time +hget +hset +hgetall +hdel +pexpire`.
type Leases struct {
	option rueidis.ClientOption
	key    string

	mu     sync.Mutex
	client rueidis.Client // nil before the first call that reached the server
	closed bool
}

// OpenLeases makes a handle of a cluster's leases over the servers of a DSN, as [Open] takes it; it connects when it is first used. An
// error is one of the DSN or the cluster's name, and holds no secret.
func OpenLeases(dsn, cluster string) (*Leases, error) {
	if !room.ValidCluster(cluster) {
		return nil, errCluster
	}
	option, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	return &Leases{option: option, key: "roomlog:{" + cluster + "}:leases"}, nil
}

// The scripts see one moment of the server's clock. What ended a day ago is forgotten.
const (
	leaseNow = `local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function text(n) return string.format('%.0f', n) end
local function read(v)
  if not v then return 0, 0 end
  local g, u = string.match(v, '^(%d+) (%d+)$')
  return tonumber(g), tonumber(u)
end
`
	holdScript = leaseNow + `local last = read(redis.call('HGET', KEYS[1], ARGV[1]))
local g = now
if last >= g then g = last + 1 end
redis.call('HSET', KEYS[1], ARGV[1], text(g) .. ' ' .. text(now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], 86400000 + ARGV[2] / 1000)
return text(g)`
	renewScript = leaseNow + `local g, u = read(redis.call('HGET', KEYS[1], ARGV[1]))
if text(g) ~= ARGV[3] or u <= now then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. text(now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], 86400000 + ARGV[2] / 1000)
return 1`
	releaseScript = leaseNow + `local g, u = read(redis.call('HGET', KEYS[1], ARGV[1]))
if text(g) == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' 0') end
return 1`
	listScript = leaseNow + `local all, held = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local g, u = read(all[i + 1])
  if u > now then
    held[#held + 1] = all[i] .. ' ' .. text(g)
  elseif math.max(u, g) + 86400000000 < now then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return held`
)

var (
	holdLease    = rueidis.NewLuaScript(holdScript)
	renewLease   = rueidis.NewLuaScript(renewScript)
	releaseLease = rueidis.NewLuaScript(releaseScript)
	listLeases   = rueidis.NewLuaScript(listScript)
)

var (
	errCluster      = errors.New("the name of a cluster is 1 to 32 of a-z, 0-9, _ and -, such as main")
	errLeasesClosed = errors.New("the leases are closed")
)

// do runs a script on the server. A connection that broke is made again by the next call.
func (l *Leases) do(ctx context.Context, script *rueidis.Lua, args ...string) (rueidis.RedisResult, error) {
	client, err := l.connected()
	if err != nil {
		return rueidis.RedisResult{}, room.NoLeases(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*silence)
	defer cancel()
	answer := script.Exec(ctx, client, []string{l.key}, args)
	if err := answer.Error(); err != nil {
		return answer, room.NoLeases(err)
	}
	return answer, nil
}

func (l *Leases) connected() (rueidis.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errLeasesClosed
	}
	if l.client == nil {
		client, err := rueidis.NewClient(l.option)
		if err != nil {
			return nil, err
		}
		l.client = client
	}
	return l.client, nil
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

func number(g room.Generation) string { return strconv.FormatUint(uint64(g), 10) }

// Hold is room.Leases's.
func (l *Leases) Hold(ctx context.Context, name string, ttl time.Duration) (room.Generation, error) {
	if !room.ValidLeaseName(name) {
		return 0, room.BadLeaseName()
	}
	answer, err := l.do(ctx, holdLease, name, micros(ttl))
	if err != nil {
		return 0, err
	}
	text, err := answer.ToString()
	if err != nil {
		return 0, room.NoLeases(err)
	}
	g, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, room.NoLeases(err)
	}
	return room.Generation(g), nil
}

// Renew is room.Leases's.
func (l *Leases) Renew(ctx context.Context, lease room.Lease, ttl time.Duration) (held bool, err error) {
	answer, err := l.do(ctx, renewLease, lease.Name, micros(ttl), number(lease.Generation))
	if err != nil {
		return false, err
	}
	n, err := answer.AsInt64()
	if err != nil {
		return false, room.NoLeases(err)
	}
	return n == 1, nil
}

// Release is room.Leases's.
func (l *Leases) Release(ctx context.Context, lease room.Lease) error {
	_, err := l.do(ctx, releaseLease, lease.Name, number(lease.Generation))
	return err
}

// List is room.Leases's.
func (l *Leases) List(ctx context.Context) ([]room.Lease, error) {
	answer, err := l.do(ctx, listLeases)
	if err != nil {
		return nil, err
	}
	lines, err := answer.AsStrSlice()
	if err != nil {
		return nil, room.NoLeases(err)
	}
	all := make([]room.Lease, 0, len(lines))
	for _, line := range lines {
		name, text, _ := strings.Cut(line, " ")
		g, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, room.NoLeases(err)
		}
		all = append(all, room.Lease{Name: name, Generation: room.Generation(g)})
	}
	return all, nil
}

// Close is room.Leases's.
func (l *Leases) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil && !l.closed {
		l.client.Close()
	}
	l.closed = true
	return nil
}
