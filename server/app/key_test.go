package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestDevKeyIsMadeOnceAndKept(t *testing.T) {
	data := filepath.Join(t.TempDir(), "made", "data")
	cfg := Config{Dev: true, Data: data}
	keys := make([][]byte, 16)
	var starts sync.WaitGroup
	for i := range keys {
		starts.Go(func() {
			key, err := cfg.SigningKey()
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	starts.Wait()
	for _, key := range keys {
		if !bytes.Equal(key, keys[0]) || len(key) < 32 {
			t.Fatalf("starts at the same time disagree: %q and %q", key, keys[0])
		}
	}
	again, err := cfg.SigningKey()
	if err != nil || !bytes.Equal(again, keys[0]) {
		t.Fatalf("a later start has %q, %v; want %q", again, err, keys[0])
	}
	entries, err := os.ReadDir(data)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the folder holds %v, %v; want the key alone", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key has mode %v, %v", info.Mode(), err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("secret-but-short \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "data")
	if err := os.MkdirAll(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, DevKeyFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"short key":      {Key: "secret-but-short"},
		"short key file": {KeyFile: short},
		"no key file":    {KeyFile: filepath.Join(dir, "missing")},
		"repeated key":   {Key: strings.Repeat("changeme", 4)},
		"no key":         {},
		"empty dev key":  {Dev: true, Data: damaged},
	} {
		if key, err := cfg.SigningKey(); err == nil || strings.Contains(err.Error(), "secret-but-short") {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
}

func TestKeyFileMayEndInANewline(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(testKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := (Config{KeyFile: file}).SigningKey(); err != nil || string(key) != testKey {
		t.Fatalf("%q, %v", key, err)
	}
}
