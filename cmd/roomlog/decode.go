package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decode puts a value of a YAML file into target, whose structs name their keys by `yaml` tags. Unlike the
// YAML library it says of an unknown key what may have been meant, and of each error at which key it is; a
// number where a duration belongs is refused, since nobody can tell its unit. No value (`chat:`) is the default.
func decode(value any, target reflect.Value, path string) error {
	if value == nil {
		return nil
	}
	if target.Type() == reflect.TypeFor[time.Duration]() {
		return decodeDuration(value, target, path)
	}
	switch target.Kind() {
	case reflect.Struct:
		return decodeStruct(value, target, path)
	case reflect.Map:
		return decodeMap(value, target, path)
	case reflect.Slice:
		return decodeSlice(value, target, path)
	case reflect.String:
		if text, ok := value.(string); ok {
			target.SetString(text)
			return nil
		}
		return fmt.Errorf("%s takes a text", path)
	case reflect.Bool:
		if yes, ok := value.(bool); ok {
			target.SetBool(yes)
			return nil
		}
		return fmt.Errorf("%s takes true or false", path)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
		if err != nil || target.OverflowInt(n) {
			return fmt.Errorf("%s takes a whole number", path)
		}
		target.SetInt(n)
		return nil
	}
	return fmt.Errorf("%s cannot be set in a file", path)
}

func decodeStruct(value any, target reflect.Value, path string) error {
	mapping, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s takes keys of its own", path)
	}
	fields := make(map[string]reflect.Value)
	var known []string
	for i := range target.NumField() {
		key, _, _ := strings.Cut(target.Type().Field(i).Tag.Get("yaml"), ",")
		if key != "" && key != "-" {
			fields[key] = target.Field(i)
			known = append(known, key)
		}
	}
	for key, v := range mapping {
		field, ok := fields[key]
		if !ok {
			return fmt.Errorf("unknown key %q of %s%s", key, path, suggestion(key, known))
		}
		if err := decode(v, field, path+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func decodeMap(value any, target reflect.Value, path string) error {
	mapping, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s takes keys of its own", path)
	}
	target.Set(reflect.MakeMapWithSize(target.Type(), len(mapping)))
	for key, v := range mapping {
		element := reflect.New(target.Type().Elem()).Elem()
		if err := decode(v, element, path+"."+key); err != nil {
			return err
		}
		target.SetMapIndex(reflect.ValueOf(key), element)
	}
	return nil
}

func decodeSlice(value any, target reflect.Value, path string) error {
	list, ok := value.([]any)
	if !ok {
		return fmt.Errorf("%s takes a list", path)
	}
	target.Set(reflect.MakeSlice(target.Type(), len(list), len(list)))
	for i, v := range list {
		if err := decode(v, target.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// decodeDuration reads a Go duration, or whole days such as 30d.
func decodeDuration(value any, target reflect.Value, path string) error {
	text, ok := value.(string)
	if days, isDays := strings.CutSuffix(text, "d"); ok && isDays {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			target.SetInt(int64(n) * int64(24*time.Hour))
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if !ok || err != nil {
		return fmt.Errorf("%s takes a duration with its unit, such as 90s, 12h or 30d", path)
	}
	target.SetInt(int64(d))
	return nil
}
