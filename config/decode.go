package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decoder fills a Config from a syntax tree. It goes on after an error, so that
// all of them are found, and it remembers where every setting stands, so that
// later checks can point at it.
type decoder struct {
	*reporter
	anchors map[string]*ast.AnchorNode
	inside  map[string]bool // aliases being followed, to find one inside itself
	nodes   int
}

func (r *reporter) decode(body ast.Node, c *Config) { r.decodeInto(body, reflect.ValueOf(c).Elem()) }

// decodeInto is decode for any struct of settings.
func (r *reporter) decodeInto(body ast.Node, v reflect.Value) {
	d := &decoder{reporter: r, anchors: map[string]*ast.AnchorNode{}, inside: map[string]bool{}}
	ast.Walk(anchorFinder{d}, body)
	d.into(body, v, "")
	if d.nodes > maxNodes {
		d.at(place{}, "", fmt.Sprintf("aliases blow the file up to more than %d values", maxNodes))
	}
}

// anchorFinder collects the anchors of a document.
type anchorFinder struct{ d *decoder }

func (a anchorFinder) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		name := anchor.Name.String()
		if _, twice := a.d.anchors[name]; twice {
			a.d.atToken(n.GetToken(), "", fmt.Sprintf("the anchor &%s is defined twice", name))
		}
		a.d.anchors[name] = anchor
	}
	return a
}

// into decodes node into v. Null leaves sections, maps and lists at their
// defaults.
func (d *decoder) into(node ast.Node, v reflect.Value, path string) {
	if d.nodes++; d.nodes > maxNodes || d.full() {
		return
	}
	if v.Type() == reservedType {
		return // refused where its key was met
	}
	node, leave := d.resolve(node, path)
	defer leave()
	if node == nil {
		return
	}
	_, null := node.(*ast.NullNode)
	switch {
	case null && (isSection(v.Type()) || v.Kind() == reflect.Map || v.Kind() == reflect.Slice):
	case null:
		d.atToken(node.GetToken(), path, "has no value: give one, or remove the line")
	case isText(v.Type()):
		d.text(node, v, path)
	case v.Kind() == reflect.Struct:
		d.section(node, v, path)
	case v.Kind() == reflect.Map:
		d.names(node, v, path)
	case v.Kind() == reflect.Slice:
		d.list(node, v, path)
	default:
		d.scalar(node, v, path)
	}
}

// resolve looks through anchors and aliases. leave must be called when the node
// has been decoded.
func (d *decoder) resolve(node ast.Node, path string) (resolved ast.Node, leave func()) {
	leave = func() {}
	switch n := node.(type) {
	case *ast.AnchorNode:
		name := n.Name.String()
		d.inside[name] = true
		resolved, inner := d.resolve(n.Value, path)
		return resolved, func() { inner(); delete(d.inside, name) }
	case *ast.AliasNode:
		name := n.Value.String()
		anchor := d.anchors[name]
		switch {
		case d.inside[name]:
			d.atToken(n.GetToken(), path, fmt.Sprintf("*%s contains itself", name))
			return nil, leave
		case anchor == nil || anchor.GetToken().Position.Offset > n.GetToken().Position.Offset:
			d.atToken(n.GetToken(), path, fmt.Sprintf("there is no anchor &%s before this", name))
			return nil, leave
		}
		return d.resolve(anchor, path)
	case *ast.TagNode:
		d.atToken(n.GetToken(), path, fmt.Sprintf("the tag %s is not needed here and not understood: remove it", n.GetToken().Value))
		return nil, leave
	}
	return node, leave
}

// entry is one key of a mapping with its value.
type entry struct {
	name  string
	key   place
	value ast.Node
}

// entries lists a mapping's keys; what merge keys bring in comes last and does
// not override.
func (d *decoder) entries(node ast.Node, path string) []entry {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		d.atToken(node.GetToken(), path, "expected settings, each as \"name: value\" on its own line; found "+describe(node))
		return nil
	}
	var own, merged []entry
	seen := map[string]place{}
	for it := mapping.MapRange(); it.Next(); {
		if it.Key().IsMergeKey() {
			merged = append(merged, d.merged(it.Value(), path)...)
			continue
		}
		tk, simple := nameOf(it.Key())
		if !simple {
			d.atToken(tk, path, "a name cannot be a list, a mapping, an anchor or an alias")
			continue
		}
		if first, twice := seen[tk.Value]; twice {
			d.atToken(tk, join(path, tk.Value), fmt.Sprintf("is given twice, first in line %d: keep one", first.line))
			continue
		}
		seen[tk.Value] = placeOf(tk)
		own = append(own, entry{tk.Value, placeOf(tk), it.Value()})
	}
	for _, m := range merged {
		if _, given := seen[m.name]; !given {
			seen[m.name] = m.key
			own = append(own, m)
		}
	}
	d.nodes += len(own)
	return own
}

// nameOf is where a key's name stands; "? name", as some programs write long names, is a
// name like any other.
func nameOf(key ast.MapKeyNode) (tk *token.Token, simple bool) {
	if explicit, ok := key.(*ast.MappingKeyNode); ok && explicit.Value != nil {
		_, simple = explicit.Value.(ast.ScalarNode)
		return explicit.Value.GetToken(), simple
	}
	_, simple = key.(ast.ScalarNode)
	return key.GetToken(), simple
}

// merged lists the keys that "<<: *name" or "<<: [*a, *b]" brings in, of which
// the first wins.
func (d *decoder) merged(node ast.Node, path string) []entry {
	if d.nodes++; d.nodes > maxNodes || d.full() {
		return nil
	}
	node, leave := d.resolve(node, path)
	defer leave()
	switch n := node.(type) {
	case nil:
		return nil
	case *ast.SequenceNode:
		var all []entry
		for _, value := range n.Values {
			all = append(all, d.merged(value, path)...)
		}
		return all
	}
	return d.entries(node, path)
}

func (d *decoder) section(node ast.Node, v reflect.Value, path string) {
	fields, rest := fieldsOf(v.Type())
	for _, e := range d.entries(node, path) {
		if d.full() {
			return
		}
		key := join(path, e.name)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.name })
		switch {
		case i >= 0:
			d.mark(key, e)
			if fields[i].typ == reservedType {
				d.at(e.key, key, "not available yet: remove this section")
				continue
			}
			d.into(e.value, v.FieldByIndex(fields[i].index), key)
		case rest != nil && !d.misspelt(e, fields):
			d.mark(key, e)
			d.named(e, v.FieldByIndex(rest), key)
		default:
			d.unknown(e, fields, path)
		}
	}
}

// misspelt reports whether a key of one's own choice is rather a fixed one with
// a slip: its name is near, and it lacks what every schedule of one's own has.
func (d *decoder) misspelt(e entry, fields []field) bool {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	mapping, ok := e.value.(ast.MapNode)
	if !ok || nearest(e.name, names) == "" {
		return false
	}
	for it := mapping.MapRange(); it.Next(); {
		if it.Key().IsMergeKey() || it.Key().GetToken().Value == "cron" {
			return false
		}
	}
	return true
}

// unknown refuses a key, saying which was probably meant or where it belongs.
func (d *decoder) unknown(e entry, fields []field, path string) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	where := "at the top"
	if path != "" {
		where = "in " + path
	}
	message := fmt.Sprintf("there is no setting of this name %s", where)
	suggestion := nearest(e.name, names)
	if homes := homesOf(e.name); suggestion == "" && len(homes) > 0 && !d.foreign {
		message += "; it belongs to " + strings.Join(homes, " or ")
	} else if suggestion == "" && len(names) <= 8 {
		message += "; there are " + strings.Join(names, ", ")
	}
	d.add(e.key, join(path, e.name), message, suggestion)
}

func (d *decoder) mark(key string, e entry) {
	at := e.key
	if e.value != nil {
		at = placeOf(e.value.GetToken())
	}
	switch v := e.value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.NullNode:
		at = e.key // a block's own token stands inside it, a missing value nowhere
	case *ast.SequenceNode:
		if !v.IsFlowStyle {
			at = e.key
		}
	}
	d.marks[key] = mark{key: e.key, value: at}
}

func (d *decoder) names(node ast.Node, v reflect.Value, path string) {
	for _, e := range d.entries(node, path) {
		key := join(path, e.name)
		d.mark(key, e)
		d.named(e, v, key)
	}
}

// named decodes one element of a map of sections, on top of its defaults.
func (d *decoder) named(e entry, v reflect.Value, key string) {
	element := reflect.New(v.Type().Elem())
	if with, ok := element.Interface().(interface{ setDefaults() }); ok {
		with.setDefaults()
	}
	d.into(e.value, element.Elem(), key)
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	v.SetMapIndex(reflect.ValueOf(e.name), element.Elem())
}

func (d *decoder) list(node ast.Node, v reflect.Value, path string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		message := "expected a list, found " + describe(node)
		if s, scalar := node.(ast.ScalarNode); scalar {
			message += fmt.Sprintf(": write [%q]", s.GetToken().Value)
		}
		d.atToken(node.GetToken(), path, message)
		return
	}
	v.SetZero() // an empty list and none are one thing
	if len(sequence.Values) == 0 {
		return
	}
	list := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, value := range sequence.Values {
		key := fmt.Sprintf("%s[%d]", path, i)
		if value != nil {
			at := placeOf(value.GetToken())
			d.marks[key] = mark{at, at}
		}
		d.into(value, list.Index(i), key)
	}
	v.Set(list)
}

func (d *decoder) text(node ast.Node, v reflect.Value, path string) {
	s, ok := scalarText(node)
	if !ok {
		d.atToken(node.GetToken(), path, "expected one value, found "+describe(node))
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		d.failed(path, placeOf(node.GetToken()), err)
	}
}
