package app

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"roomlog/server/transport/auth"
)

// DevKeyFile lies in the data folder, so that tokens of dev survive a restart on the same data.
const DevKeyFile = "dev.key"

// adminKeyFile lies there too, where there is an admin listener: the secret of its requests.
const adminKeyFile = "admin.key"

// SigningKey is the key that signs and checks tokens: the one that is configured, or in dev the
// one kept in the data folder, which is made (mode 0600) when it is missing.
func (c Config) SigningKey() ([]byte, error) {
	c = c.withDefaults()
	switch {
	case c.Key != "":
		return checkKey([]byte(c.Key), "--key (ROOMLOG_KEY)")
	case c.KeyFile != "":
		key, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return nil, configErrorf("read the key of --key-file: %v", err)
		}
		return checkKey(bytes.TrimSpace(key), c.KeyFile)
	case c.Dev:
		return keptKey(c.Data, DevKeyFile)
	}
	return nil, configErrorf("there is no key: give --key-file FILE or ROOMLOG_KEY")
}

func checkKey(key []byte, from string) ([]byte, error) {
	if len(key) < auth.MinKey {
		return nil, configErrorf("the key of %s has %d bytes and needs at least %d; `openssl rand -hex 32` makes one", from, len(key), auth.MinKey)
	}
	if bytes.Contains(key, []byte("-----BEGIN")) { // public or not, it is not for this: HS256 with a public key is signed by anybody
		return nil, configErrorf("the key of %s is a PEM file; give a public key by --public-key-file", from)
	}
	if different(key) < leastDifferent {
		return nil, configErrorf("the key of %s repeats a few characters and can be guessed; `openssl rand -hex 32` makes one", from)
	}
	return key, nil
}

// leastDifferent is how many different bytes a key has at least: more than "changeme" written four times,
// and fewer than any that was drawn at random.
const leastDifferent = 8

func different(key []byte) int {
	seen := make(map[byte]bool)
	for _, b := range key {
		seen[b] = true
	}
	return len(seen)
}

// keptKey reads a key that the data folder keeps in a file, or makes it. The file is created whole under
// another name and linked into place, so that two starts at once agree on one key and none reads half of it.
func keptKey(data, file string) ([]byte, error) {
	path := filepath.Join(data, file)
	key, err := os.ReadFile(path)
	if err == nil {
		return checkKey(bytes.TrimSpace(key), path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read a kept key: %w", err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	fresh, err := os.CreateTemp(data, file+".*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", file, err)
	}
	defer os.Remove(fresh.Name())
	raw := make([]byte, auth.MinKey)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	if _, err = fmt.Fprintln(fresh, hex.EncodeToString(raw)); err == nil {
		err = fresh.Sync()
	}
	if err = errors.Join(err, fresh.Close()); err != nil {
		return nil, fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Link(fresh.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep %s: %w", file, err)
	}
	if key, err = os.ReadFile(path); err != nil {
		return nil, fmt.Errorf("read a kept key: %w", err)
	}
	return checkKey(bytes.TrimSpace(key), path)
}
