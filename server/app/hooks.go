package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"roomlog/server/room"
	"roomlog/server/schema"
	"roomlog/server/webhook"
)

// BeforeConfig is the before_append webhook of a kind; without a URL there is none.
type BeforeConfig struct {
	URL        string        `yaml:"url,omitempty"`
	Secret     string        `yaml:"secret,omitempty"`
	SecretFile string        `yaml:"secret_file,omitempty"`
	Timeout    time.Duration `yaml:"timeout,omitempty"`    // 2 s
	OnFailure  string        `yaml:"on_failure,omitempty"` // refuse (the default) or accept
}

// AfterConfig is an after_append webhook of a kind.
type AfterConfig struct {
	Name       string        `yaml:"name,omitempty"`
	URL        string        `yaml:"url,omitempty"`
	Secret     string        `yaml:"secret,omitempty"`
	SecretFile string        `yaml:"secret_file,omitempty"`
	Timeout    time.Duration `yaml:"timeout,omitempty"` // 10 s
	From       string        `yaml:"from,omitempty"`    // head (the default) or beginning
}

// ReportsConfig is the webhook of a kind that is told what users report; without a URL there is none.
type ReportsConfig struct {
	URL        string        `yaml:"url,omitempty"`
	Secret     string        `yaml:"secret,omitempty"`
	SecretFile string        `yaml:"secret_file,omitempty"`
	Timeout    time.Duration `yaml:"timeout,omitempty"` // 10 s
}

const (
	askWithin     = 2 * time.Second
	deliverWithin = 10 * time.Second
	// longestHook is the most that a call may take: the sends behind it wait.
	longestHook = time.Minute
	// deliveries of one hook at a time.
	deliveries = 8
)

// hooks are the schemas and webhooks of a configuration, ready to be used.
type hooks struct {
	policies map[string]room.Policy
	gates    []*webhook.Gate
	after    []webhook.Hook // those of reports too
}

var hookName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// guard says where webhooks may go.
func (c Config) guard() (webhook.Guard, error) {
	var g webhook.Guard
	for _, text := range c.WebhookAllow {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return g, configErrorf("--webhook-allow is a list of networks such as 10.0.0.0/8 or fd00::/8, not %q", text)
		}
		g.Allow = append(g.Allow, p.Masked())
	}
	return g, nil
}

// hooks reads the schemas, secrets and endpoints of the kinds. A *ConfigError names the key that is wrong.
func (c Config) hooks(log *slog.Logger) (h hooks, err error) {
	guard, err := c.guard()
	if err != nil {
		return h, err
	}
	h.policies = c.policies()
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	named := make(map[string]AfterConfig)
	for _, kind := range slices.Sorted(maps.Keys(c.Kinds)) {
		k, p, at := c.Kinds[kind], h.policies[kind], "kinds."+kind
		if p.Types, err = c.types(at, k.Types); err != nil {
			return h, err
		}
		if k.BeforeAppend != (BeforeConfig{}) {
			g, err := c.gate(at+".before_append", kind, k.BeforeAppend, guard, log)
			if err != nil {
				return h, err
			}
			h.gates = append(h.gates, g)
			p.Before = g
		}
		for i, a := range k.AfterAppend {
			if err := c.addAfter(&h, named, fmt.Sprintf("%s.after_append[%d]", at, i), kind, a, guard); err != nil {
				return h, err
			}
		}
		if k.Reports != (ReportsConfig{}) {
			e, err := c.endpoint(at+".reports", "reports:"+kind, k.Reports.URL, k.Reports.Secret, k.Reports.SecretFile, k.Reports.Timeout, deliverWithin, guard)
			if err != nil {
				return h, err
			}
			e.Conns = deliveries
			h.after = append(h.after, webhook.Hook{Endpoint: e, Kinds: []string{kind}, Reports: true})
		}
		h.policies[kind] = p
	}
	return h, nil
}

// close lets go of the gates' connections.
func (h hooks) close() {
	for _, g := range h.gates {
		g.Close()
	}
}

// types compiles the schemas of a kind.
func (c Config) types(at string, files map[string]string) (map[string]room.Schema, error) {
	if files == nil {
		return nil, nil
	}
	types := make(map[string]room.Schema, len(files))
	for typ, file := range files {
		if room.CheckType(typ) != nil {
			return nil, configErrorf("%s.types: %q is not a type; one is a-z, 0-9, _ . and -, begins with a letter and has at most 32 characters", at, typ)
		}
		types[typ] = nil
		if file == "" {
			continue
		}
		s, err := schema.Load(c.file(file))
		if err != nil {
			return nil, configErrorf("%s.types.%s: %v", at, typ, err)
		}
		types[typ] = s
	}
	return types, nil
}

// file is a path of the configuration file, relative to it.
func (c Config) file(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.Folder, path)
}

func (c Config) gate(at, kind string, b BeforeConfig, guard webhook.Guard, log *slog.Logger) (*webhook.Gate, error) {
	if b.OnFailure != "" && b.OnFailure != "refuse" && b.OnFailure != "accept" {
		return nil, configErrorf("%s.on_failure is refuse or accept, not %q", at, b.OnFailure)
	}
	e, err := c.endpoint(at, "before_append:"+kind, b.URL, b.Secret, b.SecretFile, b.Timeout, askWithin, guard)
	if err != nil {
		return nil, err
	}
	g, err := webhook.NewGate(webhook.GateConfig{Endpoint: e, Accept: b.OnFailure == "accept", AnswerBytes: 2*c.MaxEventBytes + 4096}, guard, log)
	if err != nil {
		return nil, configErrorf("%s.url: %v", at, err)
	}
	return g, nil
}

// addAfter adds a kind to a hook. A hook of several kinds is written the same in each.
func (c Config) addAfter(h *hooks, named map[string]AfterConfig, at, kind string, a AfterConfig, guard webhook.Guard) error {
	if !hookName.MatchString(a.Name) {
		return configErrorf("%s.name is a-z, 0-9, _ and -, begins with a letter and has at most 32 characters, not %q", at, a.Name)
	}
	if a.From != "" && a.From != "head" && a.From != "beginning" {
		return configErrorf("%s.from is head or beginning, not %q", at, a.From)
	}
	if other, known := named[a.Name]; known {
		for i := range h.after {
			switch {
			case h.after[i].Name != a.Name:
			case other != a:
				return configErrorf("%s: the webhook %q is written otherwise in another kind; give one of them another name", at, a.Name)
			case slices.Contains(h.after[i].Kinds, kind):
				return configErrorf("%s: the webhook %q is there twice", at, a.Name)
			default:
				h.after[i].Kinds = append(h.after[i].Kinds, kind)
			}
		}
		return nil
	}
	e, err := c.endpoint(at, a.Name, a.URL, a.Secret, a.SecretFile, a.Timeout, deliverWithin, guard)
	if err != nil {
		return err
	}
	e.Conns = deliveries
	named[a.Name] = a
	h.after = append(h.after, webhook.Hook{Endpoint: e, Kinds: []string{kind}, FromStart: a.From == "beginning"})
	return nil
}

func (c Config) endpoint(at, name, address, secret, secretFile string, timeout, def time.Duration, guard webhook.Guard) (e webhook.Endpoint, err error) {
	if _, err := guard.CheckURL(address); err != nil {
		return e, configErrorf("%s.url: %v", at, err)
	}
	if timeout < 0 || timeout > longestHook {
		return e, configErrorf("%s.timeout is at most %v", at, longestHook)
	}
	if timeout == 0 {
		timeout = def
	}
	switch {
	case secret != "" && secretFile != "":
		return e, configErrorf("%s: keep one of secret and secret_file", at)
	case secretFile != "":
		text, err := os.ReadFile(c.file(secretFile))
		if err != nil {
			return e, configErrorf("%s.secret_file: %v", at, err)
		}
		secret = string(text)
	}
	s, err := webhook.ParseSecret(secret)
	if err != nil {
		return e, configErrorf("%s: %v", at, err)
	}
	return webhook.Endpoint{Name: name, URL: address, Secret: s, Timeout: timeout}, nil
}

// useHooks puts the schemas and webhooks of a configuration in place of what there is.
func (a *App) useHooks(ctx context.Context, cfg Config) error {
	next, err := cfg.hooks(cfg.Log)
	if err != nil {
		return err
	}
	if err := a.putKinds(ctx, cfg, next.policies); err != nil {
		next.close()
		return err
	}
	if err := a.engine.Use(ctx, next.after); err != nil {
		next.close()
		return fmt.Errorf("use webhooks: %w", err)
	}
	a.kinds.Replace(next.policies)
	if old := a.hooks.Swap(&next); old != nil {
		old.close() // what is being asked is answered; its connections go then
	}
	return nil
}

// buildEngine makes what delivers to webhooks.
func (a *App) buildEngine(store wholeStore) error {
	guard, err := a.cfg.guard()
	if err != nil {
		return err
	}
	a.engine = webhook.NewEngine(webhook.EngineConfig{Store: store, Reports: store, Guard: guard, Log: a.cfg.Log, MapOnly: mapOnly(a.kinds)})
	a.undo.push("stop the webhooks", func(ctx context.Context) error {
		if h := a.hooks.Load(); h != nil {
			h.close()
		}
		return a.engine.Stop(ctx)
	})
	return nil
}

// calls are the counts of all webhooks, by name.
func (a *App) calls() map[string]webhook.Calls {
	all := make(map[string]webhook.Calls)
	if h := a.hooks.Load(); h != nil {
		for _, g := range h.gates {
			all[g.Name()] = g.Calls()
		}
	}
	for _, s := range a.engine.States() {
		all[s.Name] = s.Calls
	}
	return all
}

// Redacted is a copy without secrets, for showing: neither those that sign nor what a URL may hold besides its
// host and path.
func (k Kinds) Redacted() Kinds {
	shown := make(Kinds, len(k))
	for name, c := range k {
		hide(&c.BeforeAppend.Secret, &c.BeforeAppend.URL)
		hide(&c.Reports.Secret, &c.Reports.URL)
		c.AfterAppend = slices.Clone(c.AfterAppend)
		for i := range c.AfterAppend {
			hide(&c.AfterAppend[i].Secret, &c.AfterAppend[i].URL)
		}
		shown[name] = c
	}
	return shown
}

func hide(secret, address *string) {
	if *secret != "" {
		*secret = "(redacted)"
	}
	if u, err := url.Parse(*address); err != nil {
		*address = "(redacted)"
	} else if u.RawQuery != "" || u.User != nil {
		u.RawQuery, u.User = "redacted", nil
		*address = u.String()
	}
}
