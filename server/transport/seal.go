package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// sealer makes texts that say something to the nodes of one cluster, and nothing to anybody else: they can be neither
// read nor made without its key. It may be used concurrently.
type sealer struct{ aead cipher.AEAD }

// newSealer makes a sealer for one purpose: what it seals is none of another's. Without a key it has one of its own,
// which ends with the process.
func newSealer(key []byte, purpose string) (*sealer, error) {
	if key == nil {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	own, err := hkdf.Key(sha256.New, key, nil, "roomlog "+purpose, sha256.Size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

// seal makes a text of a value that marshals.
func (s *sealer) seal(v any) string {
	plain, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, nil))
}

// open reads a text that a sealer of the same key and purpose made; false: it is none.
func (s *sealer) open(text string, into any) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	plain, err := s.aead.Open(nil, nil, sealed, nil)
	return err == nil && json.Unmarshal(plain, into) == nil
}
