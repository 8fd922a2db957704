package config

import (
	"bytes"
	"errors"
	"reflect"
)

// Document is a YAML file of another room, a failover plan for one, read as
// strictly as the configuration: what is unknown, given twice or of the wrong
// type is an error with its line and column, and all errors are found at once.
type Document struct {
	r    *reporter
	read bool
}

// ReadDocument reads text into a pointer to a struct whose fields carry yaml
// tags. The file's name is for errors only. Look at Err before using what was
// read; checks of the caller's own go between the two, through Refuse.
func ReadDocument(file string, text []byte, into any) *Document {
	r := newReporter(file, string(text))
	r.foreign = true
	if len(bytes.TrimSpace(text)) == 0 {
		r.at(place{}, "", "the file is empty")
		return &Document{r: r}
	}
	body := r.parseSyntax(text)
	if body == nil {
		return &Document{r: r}
	}
	// What is missing at the top is told where the file begins.
	r.marks[""] = mark{place{1, 1}, place{1, 1}}
	r.decodeInto(body, reflect.ValueOf(into).Elem())
	return &Document{r, true}
}

// Read reports whether the text could be read as YAML at all; there is no sense in
// checking what was not.
func (d *Document) Read() bool { return d.read }

// Given reports whether the document gives a value for a dotted path, such as
// "steps[2].timeout".
func (d *Document) Given(key string) bool { return d.r.given(key) }

// Refuse reports an error about the value at a dotted path, or about the nearest
// section around it when it is not given. The suggestion is what was probably
// meant, or empty. A value that has an error already gets no second one.
func (d *Document) Refuse(key, message, suggestion string) { d.r.about(key, message, suggestion) }

// RefuseName is Refuse for a name of one's own choice: it points at the name.
func (d *Document) RefuseName(key, message, suggestion string) {
	if m, ok := d.r.marks[key]; ok && !d.r.blamed(key) {
		d.r.add(m.key, key, message, suggestion)
		return
	}
	d.Refuse(key, message, suggestion)
}

// Err returns everything that is wrong, each an [*Error], in the order of the
// file; nil when nothing is.
func (d *Document) Err() error {
	all := d.r.sorted()
	errs := make([]error, len(all))
	for i, e := range all {
		errs[i] = e
	}
	return errors.Join(errs...)
}
