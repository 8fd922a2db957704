package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// ShowOptions says how a configuration is printed.
type ShowOptions struct {
	// JSON prints one JSON document instead of YAML.
	JSON bool
}

// Show prints every setting with the value in force, secrets masked. What it
// prints as YAML loads again, but for the secrets.
func (c *Config) Show(w io.Writer, o ShowOptions) error {
	t := treeOf(reflect.ValueOf(c).Elem())
	if o.JSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(t)
	}
	for i, top := range t {
		var text bytes.Buffer
		if i > 0 {
			text.WriteByte('\n')
		}
		enc := yaml.NewEncoder(&text, yaml.IndentSequence(true))
		if err := enc.Encode(yamlOf(tree{top})); err != nil {
			return err
		}
		if _, err := w.Write(text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON renders what Show prints, so that a configuration cannot leak its
// secrets by being logged.
func (c *Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(treeOf(reflect.ValueOf(c).Elem()))
}

// File returns the path the configuration was loaded from; empty for defaults.
func (c *Config) File() string { return c.origin.file }

// tree is a section as names and values in their declared order. A value is a
// tree, a list of values, text, a whole number, or true or false.
type tree []branch

type branch struct {
	name  string
	value any
}

// MarshalJSON renders t as an object that keeps the order.
func (t tree) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, br := range t {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, part := range []any{br.name, br.value} {
			if j > 0 {
				b.WriteByte(':')
			}
			text, err := json.Marshal(part)
			if err != nil {
				return nil, err
			}
			b.Write(text)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func yamlOf(value any) any {
	switch v := value.(type) {
	case tree:
		items := make(yaml.MapSlice, len(v))
		for i, br := range v {
			items[i] = yaml.MapItem{Key: br.name, Value: yamlOf(br.value)}
		}
		if len(items) == 0 {
			return map[string]any{}
		}
		return items
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = yamlOf(element)
		}
		return list
	}
	return value
}

// treeOf turns a section into a tree. A secret that is not given, and one that
// came from its file, is left out, so that what is printed contradicts nothing.
func treeOf(v reflect.Value) tree {
	fields, rest := fieldsOf(v.Type())
	t := tree{}
	for _, f := range fields {
		value := v.FieldByIndex(f.index)
		if f.typ == reservedType || f.typ == secretType && !showsSecret(v, fields, f) {
			continue
		}
		shown := valueOf(value)
		if text, ok := shown.(string); ok && f.name == "url" {
			shown = maskURL(text) // one that is misspelt may be taken for a path, with a login in it
		}
		t = append(t, branch{f.name, shown})
	}
	if rest != nil {
		t = append(t, mapTree(v.FieldByIndex(rest))...)
	}
	return t
}

func showsSecret(section reflect.Value, fields []field, f field) bool {
	if section.FieldByIndex(f.index).IsZero() {
		return false
	}
	i := slices.IndexFunc(fields, func(other field) bool { return other.name == f.name+"_file" })
	return i < 0 || section.FieldByIndex(fields[i].index).IsZero()
}

func mapTree(v reflect.Value) tree {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	t := tree{}
	for _, key := range keys {
		t = append(t, branch{key.String(), valueOf(v.MapIndex(key))})
	}
	return t
}

func valueOf(v reflect.Value) any {
	if d, ok := v.Interface().(MonthDay); ok && d != LastDay {
		return int(d)
	}
	switch {
	case isText(v.Type()):
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	case v.Kind() == reflect.Struct:
		return treeOf(v)
	case v.Kind() == reflect.Map:
		return mapTree(v)
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = valueOf(v.Index(i))
		}
		return list
	}
	return v.Interface()
}
