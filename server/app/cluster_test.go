package app

import (
	"strings"
	"testing"
)

// What a cluster needs is said in one sentence each, and none holds a secret.
func TestClusterConfiguration(t *testing.T) {
	const secret = "k3y-of-the-cluster-0123456789abcdef"
	whole := Config{
		Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Store: "postgres://u:hunter2@127.0.0.1/db",
		Bus: "redis://u:hunter2@127.0.0.1:6379", ClusterKey: secret, Node: "a", Cluster: "main",
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string // empty: nothing is wrong
	}{
		"whole":         {func(*Config) {}, ""},
		"nats":          {func(c *Config) { c.Bus = "nats://127.0.0.1:4222" }, ""},
		"alone":         {func(c *Config) { c.Bus, c.ClusterKey, c.Store = "none", "", "sqlite:x.db" }, ""},
		"sqlite":        {func(c *Config) { c.Store = "sqlite:x.db" }, "--store postgres://"},
		"no key":        {func(c *Config) { c.ClusterKey = "" }, "--cluster-key-file"},
		"two keys":      {func(c *Config) { c.ClusterKeyFile = "f" }, "given twice"},
		"unknown bus":   {func(c *Config) { c.Bus = "kafka://u:hunter2@h" }, "--bus is none, redis://"},
		"bad redis":     {func(c *Config) { c.Bus = "redis://u:hunter2@h:6379?db=1" }, "--bus: the address of Redis"},
		"bad nats":      {func(c *Config) { c.Bus = "nats://u:hunter2@" }, "--bus: the address of NATS"},
		"bad node":      {func(c *Config) { c.Node = "a b" }, "--node is"},
		"bad cluster":   {func(c *Config) { c.Cluster = "A.*" }, "--cluster is"},
		"no bus scheme": {func(c *Config) { c.Bus = "127.0.0.1:6379" }, "--bus is none, redis://"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := whole
			c.change(&cfg)
			err := cfg.withDefaults().validate()
			if c.says == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want something with %q", err, c.says)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), secret) {
				t.Errorf("a secret is told: %v", err)
			}
		})
	}
}

// Clients of an only node that nobody named are told no name: it would be noise.
func TestWhoIsToldTheNode(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"alone":        {Config{}, ""},
		"alone, named": {Config{Node: "a1"}, "a1"},
		"one of many":  {Config{Bus: "nats://127.0.0.1:4222"}, nodeName()},
	} {
		if got := c.cfg.withDefaults().toldNode(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A key of the cluster is held to what every key is.
func TestClusterKey(t *testing.T) {
	if _, err := (Config{ClusterKey: "short"}).clusterKey(); err == nil || !strings.Contains(err.Error(), "at least 32") {
		t.Errorf("a short key: %v", err)
	}
	if key, err := (Config{}).clusterKey(); key != nil || err != nil {
		t.Errorf("no key: %q, %v", key, err)
	}
}
