package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"mahavishnu/config"
)

const head = `# Configuration reference

<!-- Generated from package config by go generate; do not edit. -->

One YAML file, named by ` + "`--config`" + `. Every setting has a default, so a file holds only what differs. Unknown keys,
wrong types, duplicates and contradictions are errors, all of them reported at once. ` + "`mahavishnu config check`" + ` tries a
file without using it, ` + "`config show`" + ` prints what is in force with secrets masked, and ` + "`config show --defaults`" + ` what
an empty file means. SIGHUP reloads the file; a bad one changes nothing and says so. Settings marked *restart* take
effect at the next start.

- **Paths** that are relative start at the directory of the file.
- **Durations** carry a unit: ` + "`250ms`, `30s`, `15m`, `1h30m`, `7d`, `2w`" + `; a day is 24 hours.
- **Times of day** are ` + "`\"HH:MM\"`" + ` on a 24-hour clock; **time zones** are names of the IANA database.
- **Anchors and merge keys** (` + "`&name`, `*name`, `<<: *name`" + `) may be used to write something once.
- **Secrets** come by value, by the key with ` + "`_file`" + `, or by environment variable. Two at once is an error.
- **Not available yet** means that turning it on is an error, except for drills and
  ` + "`backup.monitoring.alert_on_failure`" + `: these load with a notice at every start.

Examples: [minimal](examples/minimal.yaml), [the usual sections in full](examples/seed.yaml),
[three regions](examples/three-regions.yaml).
`

// page is the reference while it is written.
type page struct {
	bytes.Buffer
	sections map[string]section
	defaults map[string]any
	env      [][2]string
	fresh    bool // a heading was written, and nothing under it yet
}

// render returns the reference for the types declared in the package at dir.
func render(dir string) ([]byte, error) {
	sections, err := readTypes(dir)
	if err != nil {
		return nil, err
	}
	defaults, err := defaultValues()
	if err != nil {
		return nil, err
	}
	p := &page{sections: sections, defaults: defaults}
	p.WriteString(head)
	var body page
	body.sections, body.defaults = sections, defaults
	for _, top := range sections["Config"].fields {
		if top.key != "" {
			body.setting(top, "", false)
		}
	}
	p.WriteString("\n## Environment variables\n\n| variable | setting |\n|---|---|\n")
	for _, v := range body.env {
		fmt.Fprintf(p, "| `%s` | `%s` |\n", v[0], v[1])
	}
	p.WriteString("\nFor the storage of a region, `backup.replication.storages.NAME`, the region's name is appended in capitals, with `_` for `-`: " +
		"`MAHAVISHNU_S3_SECRET_KEY_EU_WEST_1`.\n")
	p.WriteString("\nA variable that is empty counts as not set. It overrides the file, except for secrets, where two at once is an error.\n")
	p.Write(body.Bytes())
	return p.Bytes(), nil
}

// defaultValues returns the defaults by key, with one element in each map of
// sections so that its defaults are there too.
func defaultValues() (map[string]any, error) {
	c := config.Default()
	c.Sources = map[string]config.Source{"NAME": {}}
	custom, err := config.Parse("", []byte(`{backup: {schedules: {NAME: {cron: "@daily"}}}}`),
		config.Environment(func(string) (string, bool) { return "", false }))
	if err != nil {
		return nil, err
	}
	c.Backup.Schedules.Custom = custom.Backup.Schedules.Custom
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	return values, json.Unmarshal(text, &values)
}

// setting writes one key: a heading and its own keys for a section, a line for
// anything else.
func (p *page) setting(s setting, path string, restart bool) {
	key := s.key
	if path != "" {
		key = path + "." + s.key
	}
	restart = restart || s.restart
	element, isMap := strings.CutPrefix(s.typ, "map[]")
	element, isList := strings.CutPrefix(element, "[]")
	inner, isSection := p.sections[element]
	switch {
	case kinds[s.typ] != "":
		p.line(s, key, restart)
	case s.see != "":
		if p.fresh {
			p.WriteByte('\n')
		}
		p.fresh = false
		p.WriteString(wrapped(fmt.Sprintf("- `%s` (section): the keys of `%s`. %s", s.key, s.see, flow(s.doc)), "  ") + "\n")
	case s.typ == "Reserved":
		p.heading(key, s.doc, "")
	case isSection && isMap:
		p.heading(key+".NAME", s.doc, inner.doc)
		p.settings(inner, key+".NAME", restart)
	case isSection && isList:
		p.heading(key+"[]", s.doc, inner.doc)
		p.settings(inner, key+"[]", restart)
	case isSection:
		p.heading(key, s.doc, inner.doc)
		p.settings(inner, key, restart)
	}
}

// settings writes a section's keys: single values first, so that each stands
// under its own heading.
func (p *page) settings(s section, path string, restart bool) {
	for _, f := range s.fields {
		if kinds[f.typ] != "" {
			p.line(f, path+"."+f.key, restart || f.restart)
		}
	}
	for _, f := range s.fields {
		if f.see != "" {
			p.setting(f, path, restart)
		}
	}
	for _, f := range s.fields {
		switch {
		case f.option == "rest":
			inner := p.sections[strings.TrimPrefix(f.typ, "map[]")]
			p.heading(path+".NAME", f.doc, inner.doc)
			p.settings(inner, path+".NAME", restart)
			p.shared(inner, path+".NAME", restart)
		case f.option == "" && kinds[f.typ] == "" && f.see == "":
			p.setting(f, path, restart)
		}
	}
}

// shared writes, once, the settings that several sections inline.
func (p *page) shared(s section, path string, restart bool) {
	for _, f := range s.fields {
		if f.option == "inline" {
			fmt.Fprintf(p, "\n%s\n\n", flow(f.doc))
			p.settings(p.sections[f.typ], path, restart)
		}
	}
}

// heading starts a section; of the type's own comment it shows what follows the
// first sentence, which the field's comment says already.
func (p *page) heading(key, doc, typeDoc string) {
	level := "##"
	if strings.Contains(strings.TrimSuffix(key, ".NAME"), ".") {
		level = "###"
	}
	text := flow(doc)
	if _, more, ok := strings.Cut(flow(typeDoc), ". "); ok {
		text += " " + more
	}
	fmt.Fprintf(p, "\n%s %s\n\n%s\n", level, key, wrapped(text, ""))
	p.fresh = true
}

func (p *page) line(s setting, key string, restart bool) {
	if !strings.Contains(key, ".") {
		fmt.Fprintf(p, "\n## %s\n\n", key)
	} else if p.fresh {
		p.WriteByte('\n')
	}
	p.fresh = false
	text := fmt.Sprintf("- `%s` (%s", key[strings.LastIndexByte(key, '.')+1:], kinds[s.typ])
	if value := p.defaultOf(key); value != "" {
		text += fmt.Sprintf(", default `%s`", value)
	}
	if restart {
		text += ", *restart*"
	}
	text += "): " + flow(s.doc)
	if s.env != "" {
		text += fmt.Sprintf(" Environment: `%s`.", s.env)
		p.env = append(p.env, [2]string{s.env, key})
	}
	p.WriteString(wrapped(text, "  ") + "\n")
}

// defaultOf returns a setting's default as YAML; nothing when there is none.
func (p *page) defaultOf(key string) string {
	var value any = p.defaults
	for name := range strings.SplitSeq(key, ".") {
		section, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = section[name]
	}
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		if v == "" || strings.HasSuffix(key, ".cron") {
			return ""
		}
		return v
	case []any:
		texts := make([]string, len(v))
		for i, element := range v {
			texts[i] = fmt.Sprint(element)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return fmt.Sprint(value)
}

// wrapped breaks text into lines of at most 120 characters, later ones indented.
func wrapped(text, indent string) string {
	const width = 120
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// flow joins a comment's lines.
func flow(doc string) string { return strings.Join(strings.Fields(doc), " ") }
