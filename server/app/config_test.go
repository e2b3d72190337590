package app

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

const testKey = "0123456789abcdef0123456789abcdef"

func TestConfigIsRefusedInOneSentence(t *testing.T) {
	serve := Config{Key: testKey, Origins: []string{"https://app.example.com"}}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // "" where it is taken
	}{
		{"complete", func(*Config) {}, ""},
		{"no key", func(c *Config) { c.Key = "" }, "--key-file"},
		{"no origins", func(c *Config) { c.Origins = nil }, "--origins"},
		{"no browsers", func(c *Config) { c.Origins = []string{"none"} }, ""},
		{"none and another", func(c *Config) { c.Origins = append(c.Origins, "none") }, "not both"},
		{"origin with a path", func(c *Config) { c.Origins = []string{"https://app.example.com/"} }, "the origin"},
		{"origin pattern", func(c *Config) { c.Origins = []string{"https://*.example.com"} }, "the origin"},
		{"origin without scheme", func(c *Config) { c.Origins = []string{"app.example.com"} }, "the origin"},
		{"two keys", func(c *Config) { c.KeyFile = "key" }, "given twice"},
		{"kind", func(c *Config) { c.Kinds = NamedKinds("chat", "Bad") }, `"Bad" is not a kind`},
		{"negative retention", func(c *Config) { c.Kinds = Kinds{"chat": {Retention: RetentionConfig{Events: -1}}} }, "kinds.chat.retention.events"},
		{"age without meaning", func(c *Config) { c.Kinds = Kinds{"chat": {Retention: RetentionConfig{Age: 30}}} }, "kinds.chat.retention.age"},
		{"negative rooms", func(c *Config) { c.Kinds = Kinds{"chat": {RoomsPerUser: -1}} }, "kinds.chat.rooms_per_user"},
		{"listen", func(c *Config) { c.Listen = "8080" }, "HOST:PORT"},
		{"no time to ping", func(c *Config) { c.PingEvery = 5 }, "--ping-every"},
		{"no time to write", func(c *Config) { c.WriteDeadline = time.Microsecond }, "--write-deadline"},
		{"negative time", func(c *Config) { c.StopWithin = -time.Second }, "--stop-within"},
		{"negative limit", func(c *Config) { c.SendBurst = -1 }, "--send-burst"},
		{"event larger than frame", func(c *Config) { c.MaxEventBytes = 2 << 20 }, "--max-frame-bytes"},
		{"dev needs nothing", func(c *Config) { *c = Config{Dev: true} }, ""},
		{"dev on a network", func(c *Config) { *c = Config{Dev: true, Listen: "0.0.0.0:8080"} }, "--insecure-dev-on-network"},
		{"dev on every address", func(c *Config) { *c = Config{Dev: true, Listen: ":8080"} }, "--insecure-dev-on-network"},
		{"dev on a network by name", func(c *Config) { *c = Config{Dev: true, Listen: "box.example:8080"} }, "--insecure-dev-on-network"},
		{"dev on a network, as asked", func(c *Config) {
			*c = Config{Dev: true, Listen: "0.0.0.0:8080", InsecureDevOnNetwork: true}
		}, ""},
		{"serve has no such flag", func(c *Config) { c.InsecureDevOnNetwork = true }, "is for dev"},
		{"serve on a network", func(c *Config) { c.Listen = "0.0.0.0:8080" }, ""},
		{"proxies", func(c *Config) { c.TrustedProxies = []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"} }, ""},
		{"no proxy", func(c *Config) { c.TrustedProxies = []string{"proxy.example"} }, "--trusted-proxies"},
		{"everybody as a proxy", func(c *Config) { c.TrustedProxies = []string{"0.0.0.0/0"} }, "is everybody"},
		{"little memory", func(c *Config) { c.MemoryLimit, c.TailBytes = 100<<20, 64<<20 }, "--memory-limit"},
		{"negative rate", func(c *Config) { c.JoinsPerSecond = -1 }, "--joins-per-second"},
		{"a feed of a kind that is not there", func(c *Config) { c.ServerFeed = "feed:server" }, "there is no kind feed"},
		{"a feed", func(c *Config) { c.Kinds, c.ServerFeed = NamedKinds("feed"), "feed:n1" }, ""},
		{"a feed without a name", func(c *Config) { c.ServerFeed = "feed" }, "--server-feed is a room"},
		{"no feed in dev", func(c *Config) { *c = Config{Dev: true, ServerFeed: "none"} }, ""},
		{"no feed in dev with kinds of its own", func(c *Config) { *c = Config{Dev: true, Kinds: NamedKinds("chat")} }, ""},
		{"no time for a hello", func(c *Config) { c.HelloWithin = 1 }, "--hello-within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := serve
			c.change(&cfg)
			err := cfg.withDefaults().validate()
			if c.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var bad *ConfigError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want a ConfigError with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), testKey) {
				t.Errorf("%q is not one line, or holds the key", err)
			}
		})
	}
}

func TestStorePath(t *testing.T) {
	for dsn, want := range map[string]string{
		"sqlite:roomlog.db":     "data/roomlog.db",
		"sqlite:a/b.db":         "data/a/b.db",
		"sqlite:./b.db":         "b.db",
		"sqlite:../b.db":        "../b.db",
		"sqlite:/var/lib/b.db":  "/var/lib/b.db",
		"sqlite:///var/lib/b.d": "/var/lib/b.d",
	} {
		got, err := Config{Data: "./data", Store: dsn}.sqlitePath()
		if err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", dsn, got, err, want)
		}
	}
}

func TestUnusableStoreNeverShowsThePassword(t *testing.T) {
	for _, dsn := range []string{"", "sqlite:", "mysql://u:hunter2@h/db", "postgres://u:hunter2%@h/db"} {
		cfg := Config{Dev: true, Data: t.TempDir(), Store: dsn}
		_, _, err := cfg.openStore(t.Context())
		var bad *ConfigError
		if !errors.As(err, &bad) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestLimitsDifferBetweenDevAndServe(t *testing.T) {
	if got := (Config{Dev: true}).limits().SendsPerSecond; got != 2000 {
		t.Errorf("dev allows %v sends per second", got)
	}
	if got := (Config{}).limits().SendsPerSecond; got != 0 { // 0: the transport's own default
		t.Errorf("serve sets %v sends per second unasked", got)
	}
	if got := (Config{Dev: true, SendsPerSecond: 7}).limits().SendsPerSecond; got != 7 {
		t.Errorf("configured 7, got %v", got)
	}
	if kinds := (Config{}).policies(); kinds == nil || len(kinds) != 0 {
		t.Errorf("serve without kinds knows %v, want none", kinds)
	}
	dev := room.NewKinds((Config{Dev: true}).policies())
	if p, known := dev.Policy("anything"); !known || p.Retention.Limited() || dev.Declared() != nil {
		t.Errorf("dev without kinds: known %v, %+v, declared %v; want every kind, with the default policy", known, p, dev.Declared())
	}
	if p, _ := dev.Policy("feed"); p.Retention.Events != 36_000 || !slices.Equal(dev.Limited(), []string{"feed"}) {
		t.Errorf("dev keeps %+v of feeds and prunes %v", p.Retention, dev.Limited())
	}
}
