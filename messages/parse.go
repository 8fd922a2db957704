package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Parse reads a job from its subject and payload. Any error is a
// [*RefusedError]. The id is empty when the payload carries none: whoever
// reads the stream gives it [AdHocID].
//
// Parse is strict where people type: unknown or repeated fields, wrong types
// and values out of range are refused. Whether a source exists is the worker's
// knowledge, not the protocol's.
func Parse(subject string, payload []byte) (Job, error) {
	kindName, region, err := SplitJobSubject(subject)
	if err != nil {
		return Job{}, err
	}
	kind, err := ParseKind(kindName)
	if err != nil {
		return Job{}, err
	}
	job := Job{Kind: kind, Region: region, Spec: NewSpec(kind)}
	if refused := job.decode(payload); refused != nil {
		return Job{}, refused
	}
	if err := job.Check(); err != nil {
		return Job{}, err
	}
	return job, nil
}

func (j *Job) decode(payload []byte) *RefusedError {
	if refused := checkText(payload); refused != nil {
		return refused
	}
	var whole json.RawMessage
	if err := json.Unmarshal(payload, &whole); err != nil {
		return refuseSyntax(payload, err)
	}
	members, refused := splitObject(payload)
	if refused != nil {
		return refused
	}
	targets := fieldsOf(&j.Envelope, j.Spec)
	for _, m := range members {
		target, ok := targets.byName[m.name]
		if !ok {
			return m.refuse(payload, &RefusedError{
				Reason:     "a " + string(j.Kind) + " job has no field " + quote(m.name) + "; its fields are " + list(targets.names),
				Suggestion: Nearest(m.name, targets.names),
			})
		}
		if refused := m.decode(payload, target); refused != nil {
			return refused
		}
	}
	return nil
}

// checkText refuses what is not worth reading as JSON, most telling reason first.
func checkText(payload []byte) *RefusedError {
	switch trimmed := bytes.TrimSpace(payload); {
	case len(payload) > MaxPayload:
		return &RefusedError{Reason: fmt.Sprintf("the payload is %d bytes long; a job may have at most %d", len(payload), MaxPayload)}
	case len(trimmed) == 0:
		return &RefusedError{Reason: "the payload is empty", Hint: "send {} for a job without settings"}
	case !utf8.Valid(payload):
		return &RefusedError{Reason: "the payload is not text: a job is one JSON object in UTF-8"}
	case hasTemplate(trimmed):
		return &RefusedError{
			Reason: "the payload still holds a {{template}} that was not filled in",
			Hint:   "`nats pub` rewrites {{...}} in what it sends: fix the template, or pass --no-templates",
		}
	}
	return nil
}

// hasTemplate finds Go template actions that a client did not fill in, and
// what Go's templates print for a value they do not have.
func hasTemplate(payload []byte) bool {
	if _, rest, ok := bytes.Cut(payload, []byte("{{")); ok && bytes.Contains(rest, []byte("}}")) {
		return true
	}
	return bytes.Contains(payload, []byte("<no value>"))
}

// member is one field of the payload with the offset of its name.
type member struct {
	name   string
	value  json.RawMessage
	offset int64
}

// splitObject takes valid JSON apart, keeping repeated names for the caller to
// see and places for it to tell.
func splitObject(payload []byte) ([]member, *RefusedError) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	opening, err := dec.Token()
	if err != nil {
		return nil, refuseSyntax(payload, err)
	}
	if opening != json.Delim('{') {
		return nil, &RefusedError{Reason: "the payload is " + jsonType(bytes.TrimSpace(payload)) + "; a job is one JSON object, such as {\"source\":\"home\"}"}
	}
	var members []member
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, refuseSyntax(payload, err)
		}
		m := member{name: key.(string), offset: dec.InputOffset()} // a key token is always a string
		if err := dec.Decode(&m.value); err != nil {
			return nil, refuseSyntax(payload, err)
		}
		if seen[m.name] {
			return nil, m.refuse(payload, &RefusedError{Reason: "the field " + quote(m.name) + " is given twice"})
		}
		seen[m.name] = true
		members = append(members, m)
	}
	return members, nil
}

// refuse fills in the member's name and place.
func (m member) refuse(payload []byte, e *RefusedError) *RefusedError {
	e.Field = m.name
	e.Line, e.Column = position(payload, max(m.offset-int64(len(m.name))-1, 1))
	return e
}

func (m member) decode(payload []byte, target reflect.Value) *RefusedError {
	wrong := func(got string) *RefusedError {
		return m.refuse(payload, &RefusedError{Reason: "the field " + quote(m.name) + " wants " + describe(target.Type()) + ", not " + got})
	}
	if string(m.value) == "null" {
		e := wrong("null")
		e.Hint = "leave the field out instead"
		return e
	}
	if err := json.Unmarshal(m.value, target.Addr().Interface()); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) && strings.HasPrefix(mismatch.Value, "number ") {
			return wrong("the " + mismatch.Value)
		}
		got := jsonType(m.value)
		if len(m.value) < maxText {
			got += " (" + string(m.value) + ")"
		}
		return wrong(got)
	}
	if target.Kind() == reflect.Map && target.Len() == 0 {
		target.SetZero() // as it comes back from being stored
	}
	return nil
}

func refuseSyntax(payload []byte, err error) *RefusedError {
	refused := &RefusedError{
		Reason: "the payload is not valid JSON: " + err.Error(),
		Hint:   `a job looks like {"source":"home"}; in a shell, put it in single quotes`,
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		refused.Line, refused.Column = position(payload, syntax.Offset)
	}
	return refused
}

// position turns an offset, just past the character at fault, into a place.
func position(payload []byte, offset int64) (line, column int) {
	before := payload[:max(0, min(int(offset)-1, len(payload)))]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// fields are the payload fields of an envelope and a spec.
type fields struct {
	names  []string
	byName map[string]reflect.Value
}

func fieldsOf(structs ...any) fields {
	f := fields{byName: map[string]reflect.Value{}}
	for i := len(structs) - 1; i >= 0; i-- { // the spec's own fields first: they are read more
		v := reflect.ValueOf(structs[i]).Elem()
		for n := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(n).Tag.Get("json"), ",")
			f.names = append(f.names, name)
			f.byName[name] = v.Field(n)
		}
	}
	return f
}

func describe(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "a time such as \"2026-01-31T02:00:00Z\""
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.Slice:
		return "a list of strings"
	case t.Kind() == reflect.Map:
		return "an object of strings"
	}
	return "a " + t.Kind().String()
}

func jsonType(value []byte) string {
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}
