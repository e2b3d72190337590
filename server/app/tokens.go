package app

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"roomlog/server/transport/auth"
)

// doors are what lets requests in: the keys of tokens, and of services.
type doors struct {
	verifier  *auth.Verifier
	sets      []*auth.KeySet // of the verifier, to be fetched
	services  auth.Services
	devSigner *auth.Signer // nil unless Dev
	notes     []string     // what an operator should know about them
}

// openDoors reads every key that is configured.
func (c Config) openDoors() (*doors, error) {
	d := &doors{}
	keys := auth.Keys{Issuers: c.Issuer, Audiences: c.Audience}
	var err error
	if c.hasSecret() || c.Dev {
		if keys.Secret, err = c.SigningKey(); err != nil {
			return nil, err
		}
	}
	if keys.Public, err = c.publicKeys(); err != nil {
		return nil, err
	}
	for _, entry := range c.JWKSURL {
		issuer, address, _ := cutSource(entry) // validateTokens has looked
		set, err := auth.NewKeySet(issuer, address, c.Log)
		if err != nil {
			return nil, configErrorf("--jwks-url: %v", err)
		}
		keys.Sets = append(keys.Sets, set)
	}
	if len(keys.Sets) > 0 && len(c.Audience) == 0 {
		d.notes = append(d.notes, "the tokens of --jwks-url are taken whomever they are for; --audience takes only those for this server")
	}
	d.sets = keys.Sets
	if d.verifier, err = auth.New(keys); err != nil {
		return nil, configErrorf("%v", err)
	}
	if d.services, err = c.serviceKeys(string(keys.Secret)); err != nil {
		return nil, err
	}
	if c.Dev {
		signer, err := auth.NewSigner(keys.Secret)
		if err != nil {
			return nil, configErrorf("%v", err)
		}
		d.devSigner = signer.As(first(c.Issuer), first(c.Audience))
	}
	return d, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// hasSecret reports whether a key of HS256 is configured.
func (c Config) hasSecret() bool { return c.Key != "" || c.KeyFile != "" }

// validateTokens looks at what is said about tokens without opening a file.
func (c Config) validateTokens() error {
	seen := make(map[string]bool)
	for _, entry := range c.JWKSURL {
		issuer, _, ok := cutSource(entry)
		if !ok {
			return configErrorf("--jwks-url is ISSUER=URL, such as https://id.example.com=https://id.example.com/jwks.json")
		}
		if seen[issuer] {
			return configErrorf("--jwks-url names the issuer %s twice", issuer)
		}
		if seen[issuer] = true; slices.Contains(c.Issuer, issuer) {
			return configErrorf("--issuer is for tokens of --key and --public-key-file; %s has its own keys by --jwks-url", issuer)
		}
	}
	for flag, list := range map[string][]string{"issuer": c.Issuer, "audience": c.Audience, "public-key-file": c.PublicKeyFile} {
		if slices.Contains(list, "") {
			return configErrorf("--%s has an empty entry", flag)
		}
	}
	return nil
}

// cutSource cuts ISSUER=URL where the URL begins: an issuer is often a URL itself.
func cutSource(entry string) (issuer, address string, ok bool) {
	at := strings.Index(entry, "=http")
	if at < 1 {
		return "", "", false
	}
	return entry[:at], entry[at+1:], true
}

func (c Config) publicKeys() ([]auth.PublicKey, error) {
	var keys []auth.PublicKey
	for _, file := range c.PublicKeyFile {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, configErrorf("read a key of --public-key-file: %v", err)
		}
		some, err := auth.ParsePublicKeys(text)
		if err != nil {
			return nil, configErrorf("%s of --public-key-file: %v", file, err)
		}
		keys = append(keys, some...)
	}
	return keys, nil
}

// service is what the file of services says about one of them.
type service struct {
	Key    string      `yaml:"key"`
	Grants auth.Grants `yaml:"grants"`
}

// serviceKeys reads the file of services, a mapping of their names; secret is the key of tokens, which is none
// of theirs. No error holds any part of a key.
func (c Config) serviceKeys(secret string) (auth.Services, error) {
	if c.ServiceKeysFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.ServiceKeysFile)
	if err != nil {
		return nil, configErrorf("read the file of --service-keys-file: %v", err)
	}
	var listed map[string]service
	if err := yaml.UnmarshalWithOptions(text, &listed, yaml.DisallowUnknownField()); err != nil {
		// The parser's own text quotes the file.
		return nil, configErrorf("%s of --service-keys-file cannot be read: it is a mapping of NAME: {key: …, grants: [{rooms: …, can: […]}]}", c.ServiceKeysFile)
	}
	var all auth.Services
	for name, s := range listed {
		one, err := auth.NewService(name, s.Key, s.Grants)
		if err != nil {
			return nil, configErrorf("%s of --service-keys-file: %v", c.ServiceKeysFile, err)
		}
		if _, err := checkKey([]byte(s.Key), "the service "+name+" in "+c.ServiceKeysFile); err != nil {
			return nil, err
		}
		if all.Find(s.Key) != nil || s.Key == secret {
			return nil, configErrorf("%s of --service-keys-file: the service %s has the key of another", c.ServiceKeysFile, name)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, configErrorf("%s of --service-keys-file names no service", c.ServiceKeysFile)
	}
	return all, nil
}

// followKeys fetches the keys of issuers until the server stops. The caller holds a.mu.
func (a *App) followKeys() {
	if len(a.keySets) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, set := range a.keySets {
		tasks.Go(func() { set.Run(ctx) })
	}
	a.undo.push("stop fetching keys", func(context.Context) error {
		cancel()
		tasks.Wait()
		return nil
	})
}
