package main

import (
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"roomlog/server/app"
)

// configCommand is about the configuration, without a server.
type configCommand struct {
	Print configPrintCommand `cmd:"" help:"Print the configuration that serve would run with, and where each value comes from."`
}

// configPrintCommand takes the flags of serve.
type configPrintCommand struct {
	serverFlags
	Redact bool `default:"true" negatable:"" help:"Leave out the keys, the secrets of webhooks and the passwords of the store and the bus."`
}

// Run prints a line for each key: its name, its value, and where that comes from: the flag, the
// environment, the file or the default. It says nothing about whether serve would take the value.
func (p *configPrintCommand) Run(ctx *kong.Context, c *console) error {
	out := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	keys := configKeys(ctx.Selected())
	for _, f := range ctx.Selected().Flags {
		for _, key := range keys {
			if f.Name == key {
				fmt.Fprintf(out, "%s\t%s\t%s\n", key, p.shown(f), p.origin(ctx, f))
			}
		}
	}
	return out.Flush()
}

// origin says where the value of a flag comes from.
func (p *configPrintCommand) origin(ctx *kong.Context, f *kong.Flag) string {
	for _, path := range ctx.Path {
		switch {
		case path.Flag != f:
		case path.Resolved:
			return "file " + string(p.ConfigFile)
		default:
			return "flag --" + f.Name
		}
	}
	for _, name := range f.Envs {
		if _, set := os.LookupEnv(name); set {
			return "env " + name
		}
	}
	return "default"
}

// redacted stands for what is not shown.
const redacted = "(redacted)"

// shown is the value of a flag in the form of the command line; "-" where there is none.
func (p *configPrintCommand) shown(f *kong.Flag) string {
	value := f.Target.Interface()
	text := fmt.Sprint(value)
	switch value := value.(type) {
	case []string:
		text = strings.Join(value, ",")
	case app.Kinds:
		if p.Redact {
			value = value.Redacted()
		}
		text = kindsText(value)
	}
	switch {
	case text == "" || text == "0" && reflect.ValueOf(value).IsZero() && f.Default == "":
		return "-"
	case p.Redact && (f.Name == "key" || f.Name == "cluster-key"):
		return redacted
	case p.Redact && f.Name == "bus":
		return withoutUsers(text)
	case p.Redact && f.Name == "store":
		return withoutPassword(text)
	}
	return printable(text)
}

// withoutUsers is the address of a bus, or several with commas between, without whom it is for: to NATS a user alone is
// a token, which is as secret as a password.
func withoutUsers(addresses string) string {
	shown := strings.Split(addresses, ",")
	for i, address := range shown {
		u, err := url.Parse(address)
		if err != nil {
			return redacted
		}
		if u.User != nil {
			u.User = url.User("redacted")
		}
		shown[i] = u.String()
	}
	return printable(strings.Join(shown, ","))
}

// withoutPassword is a store's DSN without what is secret in it. What cannot be read is not shown, as
// nobody can say which part of it would be the password.
func withoutPassword(dsn string) string {
	if strings.HasPrefix(dsn, "sqlite:") {
		return printable(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return redacted
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "redacted")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return redacted
	}
	for name := range query {
		if name == "password" || name == "sslpassword" {
			query.Set(name, "redacted")
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}
