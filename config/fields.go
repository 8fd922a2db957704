package config

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// field is one key of a section, found by reflection so that decoding,
// printing, comparing and documenting can never disagree about what exists.
type field struct {
	name    string
	index   []int
	typ     reflect.Type
	restart bool   // changing it needs a restart
	env     string // environment variable that may give it instead
	owner   reflect.Type
	goName  string
}

// fieldsOf returns a section's keys in the order they are declared, those of
// inlined structs among them, and the index of the map that takes any other
// key, if the section has one.
func fieldsOf(t reflect.Type) (fields []field, rest []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			inner, _ := fieldsOf(f.Type)
			for _, in := range inner {
				in.index = append([]int{i}, in.index...)
				fields = append(fields, in)
			}
		case option == "rest":
			rest = []int{i}
		case name != "":
			fields = append(fields, field{
				name: name, index: []int{i}, typ: f.Type, owner: t, goName: f.Name,
				restart: f.Tag.Get("reload") == "restart", env: f.Tag.Get("env"),
			})
		}
	}
	return fields, rest
}

var (
	reservedType        = reflect.TypeFor[Reserved]()
	secretType          = reflect.TypeFor[Secret]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isText reports whether values of t are read and printed by their own text
// methods.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshalerType) }

// isSection reports whether t is a struct of keys.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// join appends a key to a dotted path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// homesOf returns the dotted paths at which a key of this name exists, the
// shortest first, for the suggestion that a key stands in the wrong section.
func homesOf(name string) []string {
	var homes []string
	walkFields(reflect.TypeFor[Config](), "", func(path string, f field) {
		if f.name == name {
			homes = append(homes, path)
		}
	})
	slices.SortStableFunc(homes, func(a, b string) int { return cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")) })
	return homes
}

// fieldAt finds the setting at a dotted path of fixed sections in c.
func fieldAt(c *Config, path string) (reflect.Value, bool) {
	v := reflect.ValueOf(c).Elem()
	for _, key := range strings.Split(path, ".") {
		if !isSection(v.Type()) {
			return reflect.Value{}, false
		}
		fields, _ := fieldsOf(v.Type())
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key })
		if i < 0 {
			return reflect.Value{}, false
		}
		v = v.FieldByIndex(fields[i].index)
	}
	return v, true
}

// eachSection calls fn for every section there is, depth first: the fixed ones, and
// the elements of maps and lists. What fn changes in them stays.
func eachSection(v reflect.Value, path string, fn func(path string, section reflect.Value)) {
	fn(path, v)
	fields, rest := fieldsOf(v.Type())
	for _, f := range fields {
		eachBelow(v.FieldByIndex(f.index), join(path, f.name), fn)
	}
	if rest != nil {
		eachBelow(v.FieldByIndex(rest), path, fn)
	}
}

func eachBelow(v reflect.Value, path string, fn func(path string, section reflect.Value)) {
	switch {
	case isSection(v.Type()):
		eachSection(v, path, fn)
	case v.Kind() == reflect.Map && isSection(v.Type().Elem()):
		for _, key := range v.MapKeys() {
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			eachSection(element, join(path, key.String()), fn)
			v.SetMapIndex(key, element)
		}
	case v.Kind() == reflect.Slice && isSection(v.Type().Elem()):
		for i := range v.Len() {
			eachSection(v.Index(i), fmt.Sprintf("%s[%d]", path, i), fn)
		}
	}
}

// walkFields visits every key of fixed sections, depth first, in declared order.
func walkFields(t reflect.Type, path string, visit func(path string, f field)) {
	fields, _ := fieldsOf(t)
	for _, f := range fields {
		key := join(path, f.name)
		visit(key, f)
		if isSection(f.typ) {
			walkFields(f.typ, key, visit)
		}
	}
}
