package transport

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"roomlog/server/room"
)

// Limit names what a client was held to, for the count of refusals.
type Limit int

// The limits of connections and rates, in the order of docs/operations.md.
const (
	limitUser Limit = iota
	limitAddress
	limitStrangers
	limitSilent
	limitSockets
	limitPolls
	limitUserPolls
	limitSends
	limitRoomSends
	limitJoins
	limitReads
	limitFailures
	limitFrames
	limitMemory
	limitAccepts
	limitsCounted
)

// String is the limit's name in metrics.
func (l Limit) String() string {
	return [limitsCounted]string{
		"connections_per_user", "connections_per_address", "strangers", "silent", "sockets", "polls", "polls_per_user",
		"sends_per_user", "sends_per_room", "joins_per_user", "reads_per_user", "failures_per_address",
		"frames_per_connection", "memory", "accepts",
	}[l]
}

// rates hold users, rooms and addresses to what they may do per second.
type rates struct {
	limits   Limits
	sends    *buckets[string]
	rooms    *buckets[room.ID]
	joins    *buckets[string]
	reads    *buckets[string]
	failures *buckets[netip.Prefix]
	began    time.Time // of the clock of paces

	refused [limitsCounted]atomic.Int64
}

func newRates(l Limits) *rates {
	return &rates{
		limits:   l,
		sends:    newBuckets[string](l.SendsPerSecond, l.SendBurst),
		rooms:    newBuckets[room.ID](l.RoomSendsPerSecond, l.RoomSendBurst),
		joins:    newBuckets[string](l.JoinsPerSecond, l.JoinBurst),
		reads:    newBuckets[string](l.ReadsPerSecond, l.ReadBurst),
		failures: newBuckets[netip.Prefix](l.FailuresPerSecond, l.FailureBurst),
		began:    time.Now(),
	}
}

// Refused counts, by limit, what was refused since the start.
func (s *Server) Refused() map[Limit]int64 {
	all := make(map[Limit]int64, limitsCounted)
	for l := range limitsCounted {
		all[l] = s.quotas.rates.refused[l].Load()
	}
	return all
}

// refuse counts a refusal and gives it back.
func (r *rates) refuse(l Limit, err *room.Error) *room.Error {
	r.refused[l].Add(1)
	return err
}

// slower refuses what would go over a rate; wait is how long until there is one again.
func (r *rates) slower(l Limit, perSecond float64, wait time.Duration, field, title string) *room.Error {
	return r.refuse(l, &room.Error{
		Code: room.CodeRateLimited, Field: field, Limit: int64(max(perSecond, 1)), RetryAfter: max(wait, time.Millisecond), Title: title,
	})
}

// send takes one send off a user's rate, or says when there will be one (rule SEND-9).
func (r *rates) send(user string) *room.Error {
	if wait := r.sends.take(user, 1); wait > 0 {
		return r.slower(limitSends, r.limits.SendsPerSecond, wait, "", "This user sends faster than is allowed; wait and send it again.")
	}
	return nil
}

// sendTo takes one send off a room's rate (rule LIM-2). It comes after the user's own, so that one user
// cannot use up what all have.
func (r *rates) sendTo(id room.ID) *room.Error {
	if wait := r.rooms.take(id, 1); wait > 0 {
		return r.slower(limitRoomSends, r.limits.RoomSendsPerSecond, wait, "room", "This room is sent to faster than is allowed; wait and send it again.")
	}
	return nil
}

// join takes joins off a user's rate (rule LIM-3). A stream of more rooms than may be joined at once takes all.
func (r *rates) join(user string, rooms int) *room.Error {
	if wait := r.joins.take(user, rooms); wait > 0 {
		return r.slower(limitJoins, r.limits.JoinsPerSecond, wait, "", "This user joins rooms faster than is allowed; wait and join again.")
	}
	return nil
}

// read takes one read off a user's rate (rule LIM-4).
func (r *rates) read(user string) *room.Error {
	if wait := r.reads.take(user, 1); wait > 0 {
		return r.slower(limitReads, r.limits.ReadsPerSecond, wait, "", "This user reads faster than is allowed; wait and read again.")
	}
	return nil
}

// sweep forgets the buckets that are full again: a new one would be the same.
func (r *rates) sweep() {
	now := time.Now()
	r.sends.sweep(now, sweepEvery)
	r.rooms.sweep(now, sweepEvery)
	r.joins.sweep(now, sweepEvery)
	r.reads.sweep(now, sweepEvery)
	r.failures.sweep(now, sweepEvery)
}

const (
	// sweepEvery is how often the buckets are looked through for those that are full again.
	sweepEvery = time.Minute
	// sweepSoon is how often at most where there is no place for a new one.
	sweepSoon = time.Second
	// maxBuckets bounds the buckets of one kind, about 200 bytes each. Past it one is forgotten for each new
	// one: whoever comes from so many addresses has as many full buckets anyway.
	maxBuckets = 1 << 15
)

// buckets are token buckets by key: so many a second, lasting, after a burst.
type buckets[K comparable] struct {
	rate  rate.Limit
	burst int

	mu    sync.Mutex
	of    map[K]*rate.Limiter
	swept time.Time
}

func newBuckets[K comparable](perSecond float64, burst int) *buckets[K] {
	return &buckets[K]{rate: rate.Limit(perSecond), burst: max(burst, 1), of: make(map[K]*rate.Limiter)}
}

// take takes n at once, or all that a full bucket has, or says how long it is until they are there.
func (b *buckets[K]) take(key K, n int) (wait time.Duration) {
	r := b.bucket(key).ReserveN(time.Now(), min(n, b.burst))
	if wait = r.Delay(); wait > 0 {
		r.Cancel()
	}
	return wait
}

// wait says how long it is until there is one; 0: there is. It takes none.
func (b *buckets[K]) wait(key K) time.Duration {
	b.mu.Lock()
	l := b.of[key]
	b.mu.Unlock()
	if l == nil {
		return 0
	}
	if lacks := 1 - l.Tokens(); lacks > 0 {
		return max(time.Duration(lacks/float64(b.rate)*float64(time.Second)), time.Millisecond)
	}
	return 0
}

func (b *buckets[K]) bucket(key K) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of[key]
	if l == nil {
		b.makeRoom()
		l = rate.NewLimiter(b.rate, b.burst)
		b.of[key] = l
	}
	return l
}

// makeRoom sees to it that there is a place for one more. The caller holds b.mu.
func (b *buckets[K]) makeRoom() {
	if len(b.of) < maxBuckets {
		return
	}
	b.sweepLocked(time.Now(), sweepSoon)
	for key := range b.of {
		if len(b.of) < maxBuckets {
			return
		}
		delete(b.of, key)
	}
}

// sweep forgets the buckets that are full, unless that was done within the last while.
func (b *buckets[K]) sweep(now time.Time, every time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweepLocked(now, every)
}

func (b *buckets[K]) sweepLocked(now time.Time, every time.Duration) {
	if now.Sub(b.swept) < every {
		return
	}
	b.swept = now
	for key, l := range b.of {
		if l.TokensAt(now) >= float64(b.burst) {
			delete(b.of, key)
		}
	}
}

// pace is a token bucket of eight bytes, for one connection: when it will be full again, on the clock of
// the rates. One goroutine uses it.
type pace int64

// take takes one; false: there is none.
func (p *pace) take(now int64, perSecond float64, burst int) bool {
	each := float64(time.Second) / perSecond
	full := max(int64(*p), now)
	if float64(full-now)+each > each*float64(burst) {
		return false
	}
	*p = pace(full + int64(each))
	return true
}

// filler counts a frame that neither sends, joins nor leaves: a ping, a pong, a token, or one that makes no
// sense. A connection that sends nothing else for long enough is ended (rule LIM-5).
func (c *socket) filler() *room.Error {
	r := c.srv.quotas.rates
	if c.pace.take(int64(time.Since(r.began)), r.limits.FramesPerSecond, r.limits.FrameBurst) {
		return nil
	}
	return r.slower(limitFrames, r.limits.FramesPerSecond, time.Second, "", "This connection sends pings, or frames that make no sense, faster than is allowed.")
}
