package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"roomlog/server/app"
	"roomlog/server/transport/auth"
)

// tokenCommand makes a token with the key of a server.
type tokenCommand struct {
	User    string        `required:"" placeholder:"NAME" help:"Who the token is for."`
	Rooms   string        `default:"*" help:"Rooms it is good for: a room id, or a prefix and *, such as chat:*."`
	Can     []string      `default:"read,send" enum:"read,send,moderate,admin" help:"What it allows there: read, send, moderate, admin."`
	TTL     time.Duration `name:"ttl" default:"1h" help:"How long it is good for."`
	Issuer  string        `placeholder:"NAME" help:"The token's iss, for a server that asks for one."`
	Aud     string        `name:"audience" placeholder:"NAME" help:"The token's aud, likewise."`
	Key     string        `env:"ROOMLOG_KEY" placeholder:"TEXT" help:"The server's key; prefer the environment or --key-file."`
	KeyFile string        `env:"ROOMLOG_KEY_FILE" placeholder:"FILE" help:"File that holds the server's key."`
	Data    string        `default:"./data" env:"ROOMLOG_DATA" help:"Data folder of a dev server, whose key is taken where none is given."`
}

// Run prints a token and nothing else, so that it can be captured.
func (t *tokenCommand) Run(c *console) error {
	if t.Key != "" && t.KeyFile != "" {
		return usageError{fmt.Errorf("the key is given twice: keep one of --key (ROOMLOG_KEY) and --key-file (ROOMLOG_KEY_FILE)")}
	}
	if t.Key == "" && t.KeyFile == "" {
		t.KeyFile = filepath.Join(t.Data, app.DevKeyFile)
		if _, err := os.Stat(t.KeyFile); errors.Is(err, fs.ErrNotExist) {
			return usageError{fmt.Errorf("there is no key: give --key-file FILE or ROOMLOG_KEY, or start `roomlog dev`, which keeps one in %s", t.KeyFile)}
		}
	}
	key, err := app.Config{Key: t.Key, KeyFile: t.KeyFile}.SigningKey()
	if err != nil {
		return usageError{err}
	}
	signer, err := auth.NewSigner(key)
	if err != nil {
		return usageError{err}
	}
	if len(t.Can) == 0 {
		return usageError{fmt.Errorf("--can names at least one of read, send, moderate, admin: a token that allows nothing is of no use")}
	}
	grant := auth.Grant{Rooms: t.Rooms}
	for _, can := range t.Can {
		grant.Can = append(grant.Can, auth.Action(can))
	}
	token, _, err := signer.As(t.Issuer, t.Aud).Sign(t.User, auth.Grants{grant}, t.TTL)
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(c.out, token)
	return err
}
