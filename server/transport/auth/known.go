package auth

import (
	"crypto/sha256"
	"sync"
)

const (
	// knownTokens is how many tokens are known at most: about half a KiB each, as long as knownBytes lets them be.
	knownTokens = 8192
	// knownBytes is the longest token that is kept.
	knownBytes = 1 << 10
)

// known is what tokens say whose signature was found good, so that thousands who come back at a time cost no
// cryptography and no parser. A token is kept by its hash: whoever has another with the same could forge
// signatures as well. It stays good only where its key does, and what time, audience and issuer, revocations
// and bans have against it is asked every time.
type known struct {
	mu sync.RWMutex
	of map[[sha256.Size]byte]*claims // they never change
}

// find is what a token says; nil: it is not known.
func (k *known) find(token string) *claims {
	if len(token) > knownBytes {
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.of[sum]
}

// keep makes a token known, in place of any where there are as many as may be.
func (k *known) keep(token string, c *claims) {
	if len(token) > knownBytes {
		return
	}
	sum := sha256.Sum256([]byte(token))
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil {
		k.of = make(map[[sha256.Size]byte]*claims)
	}
	for other := range k.of {
		if len(k.of) < knownTokens {
			break
		}
		delete(k.of, other)
	}
	k.of[sum] = c
}

// forget makes a token unknown.
func (k *known) forget(token string) {
	sum := sha256.Sum256([]byte(token))
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.of, sum)
}
