package main

import (
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"roomlog/server/app"
)

// kindsMapper reads --kinds: names, as the command line and the environment have them, or the list or mapping
// of a configuration file.
type kindsMapper struct{}

// Decode implements kong.Mapper.
func (kindsMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("kinds")
	if err != nil {
		return err
	}
	kinds, err := readKinds(token.Value)
	if err != nil {
		return err
	}
	target.Set(reflect.ValueOf(kinds))
	return nil
}

// readKinds reads `a,b`, a list of names, or a mapping from name to policy.
func readKinds(value any) (app.Kinds, error) {
	mapping, ok := value.(map[string]any)
	if !ok {
		text, err := flagText(value, true)
		if err != nil {
			return nil, err
		}
		return app.NamedKinds(strings.FieldsFunc(text, func(r rune) bool { return r == ',' })...), nil
	}
	kinds := app.Kinds{}
	for name, policy := range mapping {
		var config app.KindConfig
		if err := decode(policy, reflect.ValueOf(&config).Elem(), "kinds."+name); err != nil {
			return nil, err
		}
		kinds[name] = config
	}
	return kinds, nil
}

// kindsText writes kinds on one line: their names, or what each policy has that is not the default.
func kindsText(kinds app.Kinds) string {
	text, err := yaml.MarshalWithOptions(kinds, yaml.Flow(true))
	if err != nil || len(kinds) == 0 {
		return ""
	}
	names := strings.TrimSpace(strings.ReplaceAll(string(text), ": {}", ""))
	if strings.Contains(names, ":") {
		return names
	}
	return strings.ReplaceAll(strings.Trim(names, "{}"), ", ", ",")
}
