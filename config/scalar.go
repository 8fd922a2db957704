package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// scalar decodes text, yes-or-no and whole numbers. It converts nothing: 5 is
// not text, and yes is not true.
func (d *decoder) scalar(node ast.Node, v reflect.Value, path string) {
	var message, suggestion string
	switch v.Kind() {
	case reflect.String:
		message = setString(node, v)
	case reflect.Bool:
		message, suggestion = setBool(node, v)
	default:
		message = setInt(node, v)
	}
	if message != "" {
		d.add(placeOf(node.GetToken()), path, message, suggestion)
	}
}

func setString(node ast.Node, v reflect.Value) (message string) {
	switch n := node.(type) {
	case *ast.StringNode:
		v.SetString(n.Value)
		return ""
	case *ast.LiteralNode:
		v.SetString(n.Value.Value)
		return ""
	}
	if text, ok := scalarText(node); ok {
		return fmt.Sprintf("expected text, found %s: write %q", describe(node), text)
	}
	return "expected text, found " + describe(node)
}

func setBool(node ast.Node, v reflect.Value) (message, suggestion string) {
	if n, ok := node.(*ast.BoolNode); ok {
		v.SetBool(n.Value)
		return "", ""
	}
	text, _ := scalarText(node)
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1", "true", "enabled":
		suggestion = "true"
	case "no", "off", "n", "0", "false", "disabled":
		suggestion = "false"
	}
	return "expected true or false, found " + describe(node), suggestion
}

func setInt(node ast.Node, v reflect.Value) (message string) {
	if n, ok := node.(*ast.IntegerNode); ok {
		parsed, err := strconv.ParseInt(fmt.Sprint(n.Value), 10, 32)
		if err != nil {
			return fmt.Sprintf("%s is too large", n.GetToken().Value)
		}
		v.SetInt(parsed)
		return ""
	}
	if n, ok := node.(*ast.StringNode); ok {
		if _, err := strconv.Atoi(n.Value); err == nil {
			return fmt.Sprintf("expected a whole number, found text: write %s without quotes", n.Value)
		}
	}
	return "expected a whole number, found " + describe(node)
}

// scalarText returns a single value as it is written, without quotes.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return strings.TrimSpace(n.GetToken().Value), true
	}
	return "", false
}

// describe names what a node is, for people. It never repeats text: that could
// be a secret.
func describe(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number that is not whole"
	case *ast.BoolNode:
		return fmt.Sprint(n.Value)
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	}
	return "something else"
}

// setFromText gives a fixed setting a value that came from the environment or
// the command line.
func (r *reporter) setFromText(c *Config, s setting) {
	v, ok := fieldAt(c, s.key)
	if !ok || isSection(v.Type()) {
		r.errs = append(r.errs, &Error{File: s.from, Key: s.key, Message: "there is no such setting"})
		return
	}
	r.setText(v, s)
}

// setText gives one value.
func (r *reporter) setText(v reflect.Value, s setting) {
	r.from[s.key] = s.from
	var err error
	switch {
	case isText(v.Type()):
		err = v.Addr().Interface().(interface{ UnmarshalText([]byte) error }).UnmarshalText([]byte(s.value))
	case v.Kind() == reflect.String:
		v.SetString(s.value)
	case v.Kind() == reflect.Bool:
		var parsed bool
		if parsed, err = strconv.ParseBool(s.value); err != nil {
			err = fmt.Errorf("%q is neither true nor false", s.value)
		}
		v.SetBool(parsed)
	case v.Kind() == reflect.Int:
		var parsed int
		if parsed, err = strconv.Atoi(s.value); err != nil {
			err = fmt.Errorf("%q is not a whole number", s.value)
		}
		v.SetInt(int64(parsed))
	default:
		err = fmt.Errorf("only single values can be given by %s", s.from)
	}
	if err != nil {
		r.about(s.key, err.Error(), suggestionOf(err))
	}
}
