package app

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// reloadable are the fields of Config that a running server takes anew.
var reloadable = []string{"Kinds", "Origins"}

// notSettings are fields of Config that nobody writes into a file.
var notSettings = []string{"Dev", "Version", "Log", "Folder"}

// Reload takes from cfg what may change while the server runs: the kinds of rooms with their policies,
// schemas and webhooks, and the origins. It takes all of it or, with an error that says why, nothing. waiting names the keys whose
// values differ and need a restart. It may be called at any time after New, by one caller at a time.
func (a *App) Reload(cfg Config) (waiting []string, err error) {
	cfg = cfg.withDefaults()
	cfg.Dev = a.cfg.Dev
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	taken := cfg
	taken.WebhookAllow, taken.Log = a.cfg.WebhookAllow, a.cfg.Log // where webhooks may go waits for a restart
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.StopWithin)
	defer cancel()
	if err := a.useHooks(ctx, taken); err != nil {
		return nil, err
	}
	if err := a.api.TakeOrigins(cfg.allowedOrigins()); err != nil {
		return nil, configErrorf("--origins: %v", err)
	}
	a.keeper.Now()
	a.api.Rejudge(ctx)
	a.people.presence.Again()
	if a.desk != nil {
		a.desk.Again()
	}
	a.api.Missed() // of other rooms may be told now
	return a.cfg.differs(cfg), nil
}

// differs names the keys of next that a server running with c does not take.
func (c Config) differs(next Config) []string {
	var names []string
	was, is := reflect.ValueOf(c), reflect.ValueOf(next)
	for i := range was.NumField() {
		name := was.Type().Field(i).Name
		if slices.Contains(reloadable, name) || slices.Contains(notSettings, name) {
			continue
		}
		if !reflect.DeepEqual(was.Field(i).Interface(), is.Field(i).Interface()) {
			names = append(names, keyOf(name))
		}
	}
	return names
}

// keyOf is the key of a field: MaxEventBytes is max-event-bytes, as the command line has it.
func keyOf(field string) string {
	var key strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			key.WriteByte('-')
		}
		key.WriteRune(unicode.ToLower(r))
	}
	return key.String()
}
