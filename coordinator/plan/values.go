package plan

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mahavishnu/config"
	"mahavishnu/messages"
)

// Type says what a parameter's value may be.
type Type string

// The types. Service, member and region are names of the configuration.
const (
	TypeText     Type = "text"
	TypeInteger  Type = "integer"
	TypeBoolean  Type = "boolean"
	TypeDuration Type = "duration"
	TypeService  Type = "service"
	TypeMember   Type = "member"
	TypeRegion   Type = "region"
)

// Types lists the types.
func Types() []Type {
	return []Type{TypeText, TypeInteger, TypeBoolean, TypeDuration, TypeService, TypeMember, TypeRegion}
}

// UnmarshalText reads a type.
func (t *Type) UnmarshalText(text []byte) error {
	return choose(t, text, "a type of parameter", Types())
}

// named reports whether values are names of things.
func (t Type) named() bool { return t == TypeService || t == TypeMember || t == TypeRegion }

// Check refuses a value that is not of the type.
func (t Type) Check(value string) error {
	switch t {
	case TypeInteger:
		if _, err := strconv.Atoi(value); err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
	case TypeBoolean:
		if value != "true" && value != "false" {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	case TypeDuration:
		var d config.Duration
		return d.UnmarshalText([]byte(value))
	case TypeService, TypeMember, TypeRegion:
		if !messages.ValidName(value) {
			return fmt.Errorf("%q cannot be the name of a %s: letters, digits, dash and underscore", value, t)
		}
	}
	return nil
}

// Names knows which services, members and regions there are. An empty list means
// that nobody knows, and nothing is refused.
type Names func(Type) []string

// check refuses a name that is not known, with the nearest that is.
func (n Names) check(t Type, value string) (suggestion string, err error) {
	if n == nil || !t.named() {
		return "", nil
	}
	known := n(t)
	if len(known) == 0 || slices.Contains(known, value) {
		return "", nil
	}
	return messages.Nearest(value, known), fmt.Errorf("there is no %s %q; there are %s", t, value, strings.Join(known, ", "))
}

// reference finds "$name", and "$$", which stands for a dollar sign.
var reference = regexp.MustCompile(`\$(\$|[a-z][a-z0-9_]*|)`)

// references lists the parameters that a value names.
func (v Value) references() []string {
	var names []string
	for _, m := range reference.FindAllStringSubmatch(string(v), -1) {
		if m[1] != "$" {
			names = append(names, m[1])
		}
	}
	return names
}

// alone returns the parameter that is the whole of the value.
func (v Value) alone() (string, bool) {
	names := v.references()
	return strings.TrimPrefix(string(v), "$"), len(names) == 1 && string(v) == "$"+names[0]
}

// expand puts parameters in their place.
func (v Value) expand(params map[string]string) string {
	return reference.ReplaceAllStringFunc(string(v), func(m string) string {
		if m == "$$" {
			return "$"
		}
		return params[m[1:]]
	})
}

// expandAll expands a step's parameters.
func expandAll(with map[string]Value, params map[string]string) map[string]string {
	all := make(map[string]string, len(with))
	for name, v := range with {
		all[name] = v.expand(params)
	}
	return all
}

// Complete returns the parameters of an execution: those given, and defaults for
// the others. It refuses what the plan does not know, what is missing, and what is
// of the wrong type or unknown to names.
func (p *Plan) Complete(given map[string]string, names Names) (map[string]string, error) {
	params := make(map[string]string, len(p.Parameters))
	var errs []error
	for _, name := range sorted(given) {
		if _, ok := p.Parameters[name]; ok {
			continue
		}
		text := fmt.Sprintf("plan %s has no parameter %q", p.Name, name)
		if near := messages.Nearest(name, sorted(p.Parameters)); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		} else if len(p.Parameters) > 0 {
			text += "; it has " + strings.Join(sorted(p.Parameters), ", ")
		}
		errs = append(errs, errors.New(text))
	}
	for _, name := range sorted(p.Parameters) {
		parameter := p.Parameters[name]
		value, ok := given[name]
		if !ok || value == "" {
			value = parameter.Default.expand(nil)
		}
		switch {
		case value == "":
			errs = append(errs, fmt.Errorf("parameter %s (%s) is missing: %s", name, parameter.Type, parameter.About))
			continue
		case parameter.Type.Check(value) != nil:
			errs = append(errs, fmt.Errorf("parameter %s: %w", name, parameter.Type.Check(value)))
			continue
		}
		if near, err := names.check(parameter.Type, value); err != nil {
			if near != "" {
				err = fmt.Errorf("%w; did you mean %q?", err, near)
			}
			errs = append(errs, fmt.Errorf("parameter %s: %w", name, err))
		}
		params[name] = value
	}
	return params, errors.Join(errs...)
}

// Things are what an execution with these parameters holds, sorted.
func (p *Plan) Things(params map[string]string) []string {
	things := make([]string, len(p.Protects))
	for i, v := range p.Protects {
		things[i] = v.expand(params)
	}
	slices.Sort(things)
	return slices.Compact(things)
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
